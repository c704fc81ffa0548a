import { until } from "../../../scripts/process";
import { type OneNode, residentMemory, startNode } from "../../support/single-node";
import { openTerminal, type TestTerminal } from "../../support/terminal";

const DEADLINE_MS = 20_000;

let node: OneNode;
const terminals: TestTerminal[] = [];
beforeAll(async () => {
  node = await startNode({ name: "terminals-ends", args: ["--stop_timeout=10"] });
  await node.docker("run", "-d", "--name", "box", "busybox", "sleep", "100000");
});
afterEach(() => {
  for (const { socket } of terminals.splice(0)) socket.terminate();
});
afterAll(() => node?.stop());

async function open(pathname: string): Promise<TestTerminal> {
  const terminal = await openTerminal(node.server.url, pathname);
  terminals.push(terminal);
  return terminal;
}

/** The command lines of a container's processes. */
async function processes(container = "box"): Promise<string[]> {
  const lines = (await node.docker("top", container, "-eo", "pid,stat,args")).split("\n").slice(1);
  // Zombies don't count: no process in this container reaps them.
  const alive = lines.map((line) => line.trim().split(/\s+/)).filter(([, state]) => !state?.startsWith("Z"));
  return alive.map(([, , ...command]) => command.join(" "));
}
const becomes = (...commands: string[]) => until(async () => (await processes()).sort().join() === commands.sort().join(), DEADLINE_MS);
const OWN = "sleep 100000";

describe("no process is left in the container when", () => {
  const disconnects: [string, (terminal: TestTerminal) => void][] = [
    ["the client closes", (terminal) => terminal.socket.close()],
    ["the client's connection is lost", (terminal) => terminal.socket.terminate()],
    ["the client sends close", (terminal) => terminal.send({ type: "close" })],
    ["the shell ends with exit", (terminal) => terminal.type("exit\nexit\n")],
  ];
  const startedProcesses: [string, string, string][] = [
    ["a running command", "?cols=80&rows=24", "sleep 2000\n"],
    ["background commands", "?cols=80&rows=24", "sleep 2000 & sleep 2001 &\n"],
    ["commands that ignore a hangup", "?cols=80&rows=24", "sh -c 'trap : HUP TERM INT; sleep 2000; sleep 2000' & nohup sleep 2001 &\n"],
    ["a stopped command", "?cols=80&rows=24", "sleep 2000 & sleep 1; kill -STOP $!\n"],
    ["commands without a terminal", "?tty=false", "sleep 2000 & sleep 2001 &\n"],
  ];
  test.each(disconnects.flatMap(([cause, disconnect]) => startedProcesses.map((each) => [cause, ...each, disconnect] as const)))(
    "%s, with %s",
    async (cause, processKind, query, line, disconnect) => {
      // A shell that waits for a command does not read `exit`.
      if (cause.includes("exit") && processKind === "a running command") return;
      const terminal = await open(`/ws/box${query}`);
      terminal.type(line);
      expect(await until(async () => (await processes()).includes("sleep 2000"), DEADLINE_MS)).toBe(true);
      disconnect(terminal);
      expect(await becomes(OWN)).toBe(true);
      await terminal.closed();
    },
  );

  test("the client disconnects before its shell has started", async () => {
    for (let turn = 0; turn < 10; turn += 1) {
      const terminal = await open("/ws/box?cols=80&rows=24");
      terminal.socket.terminate();
    }
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect(await becomes(OWN)).toBe(true);
  });

  test("the client disconnects while the container is paused: once it is unpaused", async () => {
    // A separate container: an engine that starts an exec while pausing the same container may hang forever.
    await node.docker("run", "-d", "--name", "pauses", "busybox", "sleep", "100000");
    const terminal = await open("/ws/pauses?cols=80&rows=24");
    terminal.type("sleep 2000\n");
    expect(await until(async () => (await processes("pauses")).includes("sleep 2000"), DEADLINE_MS)).toBe(true);
    await node.docker("pause", "pauses");
    terminal.socket.terminate();
    await new Promise((resolve) => setTimeout(resolve, 1500));
    await node.docker("unpause", "pauses");
    expect(await until(async () => (await processes("pauses")).join() === OWN, DEADLINE_MS)).toBe(true);
    await node.docker("rm", "-f", "pauses");
  });

  test("the command runs as another user", async () => {
    const terminal = await open("/ws/box?cols=80&rows=24");
    terminal.type("su -s /bin/sh nobody -c 'sleep 2000'\n");
    expect(await until(async () => (await processes()).includes("sleep 2000"), DEADLINE_MS)).toBe(true);
    terminal.socket.terminate();
    expect(await becomes(OWN)).toBe(true);
  });
});

test("a terminal closes when its container is removed", async () => {
  await node.docker("run", "-d", "--name", "dies", "busybox", "sleep", "100000");
  const terminal = await open("/ws/dies?cols=80&rows=24");
  await terminal.shows(/# /);
  await node.docker("rm", "-f", "dies");
  expect([1000, 1011]).toContain(await terminal.closed());
  expect(["exit", "error"]).toContain(terminal.messages.at(-1).type);
});

test("output that a client does not read stays in the container, not in the server's memory", async () => {
  const before = residentMemory(node.server.process.pid);
  const terminal = await open("/ws/box?tty=false");
  terminal.socket.pause();
  terminal.type("yes 0123456789012345678901234567890123456789\n");
  for (let turn = 0; turn < 30; turn += 1) {
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect(residentMemory(node.server.process.pid) - before).toBeLessThan(80);
  }
  terminal.socket.resume();
  const at = terminal.messages.length;
  expect(await until(() => terminal.messages.length > at + 100, DEADLINE_MS)).toBe(true);
  terminal.send({ type: "signal", name: "INT" });
  expect((await terminal.gets("exit")).code).toBe(130);
});

test("input that a shell does not read stays with the client, and signals still arrive", async () => {
  const before = residentMemory(node.server.process.pid);
  const terminal = await open("/ws/box?cols=80&rows=24");
  terminal.type("sleep 2000\n");
  expect(await until(async () => (await processes()).includes("sleep 2000"), DEADLINE_MS)).toBe(true);
  terminal.type("x".repeat(200_000));
  terminal.send({ type: "signal", name: "KILL" });
  expect(await until(async () => !(await processes()).includes("sleep 2000"), DEADLINE_MS)).toBe(true);
  const other = await open("/ws/box?tty=false");
  other.type("sleep 2000\n");
  expect(await until(async () => (await processes()).includes("sleep 2000"), DEADLINE_MS)).toBe(true);
  for (let turn = 0; turn < 200; turn += 1) other.type(`${"x".repeat(999_999)}\n`);
  await new Promise((resolve) => setTimeout(resolve, 2000));
  expect(other.socket.bufferedAmount).toBeGreaterThan(100_000_000);
  expect(residentMemory(node.server.process.pid) - before).toBeLessThan(80);
  other.socket.terminate();
  expect(await until(async () => !(await processes()).includes("sleep 2000"), DEADLINE_MS)).toBe(true);
});

test("a stopping server closes its terminals with 1001 and ends their processes", async () => {
  const terminal = await open("/ws/box?cols=80&rows=24");
  terminal.type("sleep 2000\n");
  expect(await until(async () => (await processes()).includes("sleep 2000"), DEADLINE_MS)).toBe(true);
  const logsTerminal = await open("/ws/box");
  await node.server.process.end("SIGTERM", 40_000);
  expect(await terminal.closed()).toBe(1001);
  expect(await logsTerminal.closed()).toBe(1001);
  expect(await processes()).toEqual([OWN]);
  expect(node.server.output()).not.toMatch(/FATAL|Unhandled promise rejection|Warning/);
});
