import { setTimeout as sleep } from "node:timers/promises";
import { until } from "../../../scripts/process";
import { uniqueName } from "../../support/cluster-containers";
import { type Engine, leaseEngine } from "../../support/engine";
import { importBusybox } from "../../support/images";
import { startServer, type TestServer } from "../../support/server";
import { dockerOf } from "../../support/single-node";
import { openTerminal, type TestTerminal } from "../../support/terminal";

const DEADLINE_MS = 30_000;
const OWN = "sleep 100000";

let engine: Engine;
let server: TestServer;
let box: string;
const docker = (...args: string[]) => dockerOf(engine, args);
beforeAll(async () => {
  engine = await leaseEngine({ name: "terminals-killed" });
  await importBusybox(engine);
  server = await startServer({ engine });
});
afterAll(async () => {
  await server?.stop("SIGKILL");
  await engine?.stop();
});
beforeEach(async () => {
  box = uniqueName("box");
  await docker("run", "-d", "--name", box, "busybox", "sleep", "100000");
});
afterEach(() => docker("rm", "-f", box));

const open = (query: string, at = server) => openTerminal(at.url, `/ws/${box}${query}`);

/** The command lines of the container's processes. */
async function processes(): Promise<string[]> {
  const lines = (await docker("top", box, "-eo", "pid,stat,args")).split("\n").slice(1);
  // Zombies don't count: no process in this container reaps them.
  const alive = lines.map((line) => line.trim().split(/\s+/)).filter(([, state]) => !state?.startsWith("Z"));
  return alive.map(([, , ...command]) => command.join(" "));
}
const waitForProcesses = (...commands: string[]) =>
  until(async () => {
    const all = await processes();
    return commands.every((command) => all.includes(command));
  }, DEADLINE_MS);
const becomes = (...commands: string[]) => until(async () => (await processes()).sort().join() === commands.sort().join(), DEADLINE_MS);

/** Kills the server and starts another one in its place. */
async function killAndRestart(): Promise<void> {
  const { port, folder } = server;
  await server.process.end("SIGKILL");
  server = await startServer({ engine, port, folder });
}

async function assertNewTerminalWorks(): Promise<void> {
  const terminal = await open("?tty=false");
  terminal.type("echo as $((40 + 2)); exit 3\n");
  expect((await terminal.gets("exit")).code).toBe(3);
  expect(terminal.stdout()).toBe("as 42\n");
  expect(await terminal.closed()).toBe(1000);
}

describe("when the server is killed, terminals close, their processes end, and new terminals work", () => {
  test.each<[string, string, string]>([
    ["a running command", "?cols=80&rows=24", "sleep 2000\n"],
    ["an idle shell", "?cols=80&rows=24", "sleep 2000 &\n"],
    ["commands that ignore a hangup", "?cols=80&rows=24", "sh -c 'trap : HUP TERM INT; sleep 2000; sleep 2000' & nohup sleep 2001 &\n"],
    ["a stopped command", "?cols=80&rows=24", "sleep 2000 & sleep 1; kill -STOP $!\n"],
    ["another user's command", "?cols=80&rows=24", "su -s /bin/sh nobody -c 'sleep 2000'\n"],
    ["commands without a terminal", "?tty=false", "sleep 2001 & sleep 2000\n"],
  ])("%s", async (_description, query, line) => {
    const terminal = await open(query);
    terminal.type(line);
    expect(await waitForProcesses("sleep 2000")).toBe(true);
    await killAndRestart();
    expect(await terminal.closed()).toBe(1006);
    expect(await becomes(OWN)).toBe(true);
    await assertNewTerminalWorks();
    expect(await becomes(OWN)).toBe(true);
  });

  test("a terminal in a paused container: once it is unpaused", async () => {
    const terminal = await open("?cols=80&rows=24");
    terminal.type("sleep 2000\n");
    expect(await waitForProcesses("sleep 2000")).toBe(true);
    await docker("pause", box);
    await killAndRestart();
    await docker("unpause", box);
    expect(await becomes(OWN)).toBe(true);
  });

  test("terminals that were being opened", async () => {
    for (let turn = 0; turn < 8; turn += 1) {
      const terminals: TestTerminal[] = [];
      for (const query of ["?cols=80&rows=24", "?tty=false"]) terminals.push(await open(query));
      await sleep(turn * 18);
      await killAndRestart();
      for (const terminal of terminals) await terminal.closed();
    }
    // The engine may still be starting an exec, and a guard whose input it has left open waits 40 s for its first line.
    await sleep(1000);
    const isClean = () => processes().then((all) => all.join() === OWN);
    expect([await until(isClean, 3 * DEADLINE_MS), await processes()]).toEqual([true, [OWN]]);
  });
});

test("other processes go on, such as terminals of another server on the same engine", async () => {
  const other = await startServer({ engine });
  try {
    await docker("exec", "-d", box, "sleep", "3000");
    await docker("exec", "-d", "-t", box, "sh", "-c", "sleep 3001; :");
    const kept = await open("?cols=80&rows=24", other);
    kept.type("sleep 3002 &\n");
    const lost = await open("?cols=80&rows=24");
    lost.type("sleep 2000\n");
    const theirs = ["sleep 3000", "sh -c sleep 3001; :", "sleep 3001", "sleep 3002"];
    expect(await waitForProcesses("sleep 2000", ...theirs)).toBe(true);
    await killAndRestart();
    expect(await until(async () => !(await processes()).includes("sleep 2000"), DEADLINE_MS)).toBe(true);
    await sleep(1000);
    expect(await waitForProcesses(...theirs)).toBe(true);
    kept.type("echo as $((40 + 2))\n");
    await kept.shows(/as 42\r\n/);
    kept.socket.close();
    expect(await becomes(OWN, ...theirs.slice(0, 3))).toBe(true);
  } finally {
    await other.stop("SIGKILL");
  }
});
