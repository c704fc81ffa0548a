import { until } from "../../../scripts/process";
import { auditEntries, type OneNode, startNode } from "../../support/single-node";
import { type OpenOptions, openTerminal, type TestTerminal } from "../../support/terminal";

const DEADLINE_MS = 20_000;

let node: OneNode;
const terminals: TestTerminal[] = [];
beforeAll(async () => {
  node = await startNode({ name: "terminals", args: ["--run_wait=5"] });
  await node.docker("run", "-d", "--name", "box", "busybox", "sleep", "100000");
});
afterEach(async () => {
  for (const { socket } of terminals.splice(0)) socket.terminate();
  expect(node.server.process.running()).toBe(true);
  expect(node.server.output()).not.toMatch(/FATAL|Unhandled promise rejection|Warning/);
  expect(await until(async () => (await processes("box")).join() === "sleep 100000", DEADLINE_MS)).toBe(true);
});
afterAll(() => node?.stop());

async function open(pathname: string, options?: OpenOptions): Promise<TestTerminal> {
  const terminal = await openTerminal(node.server.url, pathname, options);
  terminals.push(terminal);
  return terminal;
}

/** The command lines of a container's processes. */
async function processes(container: string): Promise<string[]> {
  const lines = (await node.docker("top", container, "-eo", "pid,args")).split("\n").slice(1);
  return lines.map((line) => line.trim().replace(/^\d+ +/, ""));
}

describe("a terminal", () => {
  test("starts a shell of the requested size that runs the input", async () => {
    const terminal = await open("/ws/box?cols=101&rows=33");
    await terminal.shows(/# /);
    terminal.type("stty size; tty\n");
    await terminal.shows(/33 101\r\n\/dev\/pts\/\d+\r\n/);
    expect(terminal.stderr()).toBe("");
  });

  test("has its size before the shell starts, so that its profile sees it", async () => {
    await node.docker("run", "-d", "--name", "asks", "-e", "ENV=/profile", "busybox", "sleep", "100000");
    await node.docker("exec", "asks", "sh", "-c", "echo 'echo size is $(stty size)' > /profile");
    for (let turn = 0; turn < 3; turn += 1) {
      const terminal = await open("/ws/asks?cols=132&rows=50");
      expect((await terminal.shows(/size is (\d+ \d+)/))[1]).toBe("50 132");
    }
    await node.docker("rm", "-f", "asks");
  });

  test("can be resized: the processes get SIGWINCH, and the last of many sizes applies", async () => {
    const terminal = await open("/ws/box?cols=80&rows=24");
    terminal.type("stty size; sh -c \"trap 'echo resized' WINCH; while :; do sleep 0.1; done\"\n");
    await terminal.shows(/24 80\r\n/);
    expect(await until(async () => (await processes("box")).includes("sleep 0.1"), DEADLINE_MS)).toBe(true);
    for (let cols = 90; cols <= 120; cols += 1) terminal.send({ type: "resize", cols, rows: 40 });
    await terminal.shows(/\nresized/);
    terminal.send({ type: "signal", name: "INT" });
    expect(
      await until(() => {
        terminal.type("stty size\n");
        return terminal.stdout().includes("40 120\r\n");
      }, DEADLINE_MS),
    ).toBe(true);
  });

  test("transfers Unicode text unchanged, and other bytes as base64", async () => {
    const terminal = await open("/ws/box?tty=false");
    const text = "漢字🙂ü".repeat(20_000);
    terminal.type("cat\n");
    // The shell may read beyond its own line: wait until cat reads.
    expect(await until(async () => (await processes("box")).includes("cat"), DEADLINE_MS)).toBe(true);
    terminal.type(`${text}\n`);
    expect(await until(() => terminal.stdout().length > text.length, DEADLINE_MS)).toBe(true);
    expect(terminal.stdout() === `${text}\n`).toBe(true);
    const other = await open("/ws/box?tty=false");
    other.send({
      type: "stdin",
      data: Buffer.from("printf '\\377\\376'; printf '\\342' >&2; exit\n").toString("base64"),
      encoding: "base64",
    });
    await other.gets("exit");
    expect([other.stdout(), other.stderr()]).toEqual(["\xff\xfe", "\xe2"]);
    expect(other.messages.map(({ encoding }) => encoding)).toEqual(expect.arrayContaining(["base64"]));
  });

  test("sends the exit code and closes", async () => {
    for (const query of ["?cols=80&rows=24", "?tty=false", "?tty=true", ""]) {
      const terminal = await open(`/ws/box${query}`);
      terminal.type("exit 7\n");
      expect(await terminal.gets("exit")).toEqual({ type: "exit", code: 7 });
      expect(await terminal.closed()).toBe(1000);
      expect(terminal.messages.at(-1)).toEqual({ type: "exit", code: 7 });
    }
  });

  test("loses no output written just before the exit", async () => {
    for (let turn = 0; turn < 5; turn += 1) {
      const terminal = await open("/ws/box?tty=false");
      terminal.type("seq 1 20000; exit 3\n");
      expect((await terminal.gets("exit")).code).toBe(3);
      expect(terminal.stdout().endsWith("\n19999\n20000\n")).toBe(true);
      expect(terminal.stdout().split("\n").length).toBe(20_001);
    }
  });

  test("without tty keeps stdout and stderr apart", async () => {
    const terminal = await open("/ws/box?tty=false");
    terminal.type("echo out; echo err >&2; tty; exit\n");
    await terminal.gets("exit");
    expect([terminal.stdout(), terminal.stderr()]).toEqual(["out\nnot a tty\n", "err\n"]);
  });

  test("closes on the client's close message", async () => {
    const terminal = await open("/ws/box?cols=80&rows=24");
    await terminal.shows(/# /);
    terminal.send({ type: "close" });
    expect(await terminal.closed()).toBe(1000);
  });

  test("is in the audit log with its status, without its query", async () => {
    const terminal = await open("/ws/box?cols=77&rows=24", { headers: { "X-Request-Id": "a-terminal" } });
    terminal.send({ type: "close" });
    await terminal.closed();
    const entry = () => auditEntries(node.server).find(({ request_id }) => request_id === "a-terminal");
    expect(await until(() => entry() !== undefined, DEADLINE_MS)).toBe(true);
    expect(entry()).toMatchObject({ method: "GET", path: "/ws/box", status: 101, user: expect.stringMatching(/^token-/) });
    expect(entry()).not.toHaveProperty("aborted");
  });
});

describe("a signal", () => {
  test.each([
    ["INT", 130],
    ["SIGTERM", 143],
    ["kill", 137],
    ["USR1", 138],
  ])("%s reaches only the foreground process of a terminal", async (name, code) => {
    const terminal = await open("/ws/box?cols=80&rows=24");
    terminal.type("echo ready; sleep 1000; echo code $?\n");
    expect(await until(async () => (await processes("box")).includes("sleep 1000"), DEADLINE_MS)).toBe(true);
    terminal.send({ type: "signal", name });
    // SIGINT aborts the shell's whole command line.
    if (name !== "INT") await terminal.shows(new RegExp(`code ${code}`));
    expect(await until(async () => !(await processes("box")).includes("sleep 1000"), DEADLINE_MS)).toBe(true);
    terminal.type("echo still $((6 * 7))\n");
    await terminal.shows(/still 42/);
  });

  test("without a terminal reaches the processes of the shell", async () => {
    const terminal = await open("/ws/box?tty=false");
    terminal.type("trap 'echo got it' USR1; sleep 1000; echo after; exit 4\n");
    expect(await until(async () => (await processes("box")).includes("sleep 1000"), DEADLINE_MS)).toBe(true);
    terminal.send({ type: "signal", name: "USR1" });
    await terminal.shows(/got it\nafter\n/);
    expect((await terminal.gets("exit")).code).toBe(4);
  });

  test("KILL of the shell gives the exit code 137", async () => {
    const terminal = await open("/ws/box?cols=80&rows=24");
    await terminal.shows(/# /);
    terminal.send({ type: "signal", name: "KILL" });
    expect((await terminal.gets("exit")).code).toBe(137);
  });
});

describe("a client that requests no terminal size", () => {
  test("sees the container's past and new logs until the first stdin starts a shell", async () => {
    const script = "echo before; echo wrong >&2; until [ -e /go ]; do sleep 0.1; done; echo later; sleep 100000";
    await node.docker("run", "-d", "--name", "talks", "busybox", "sh", "-c", script);
    const terminal = await open("/ws/talks");
    await terminal.shows(/before\n/);
    expect(await until(() => terminal.stderr() === "wrong\n", DEADLINE_MS)).toBe(true);
    terminal.send({ type: "signal", name: "INT" });
    expect(await terminal.gets("error")).toMatchObject({ error: { code: "NO_SHELL", message: expect.any(String) } });
    await node.docker("exec", "talks", "touch", "/go");
    await terminal.shows(/later\n/);
    terminal.type("echo typed; exit 2\n");
    expect((await terminal.gets("exit")).code).toBe(2);
    expect(terminal.stdout()).toBe("before\nlater\ntyped\n");
    await node.docker("rm", "-f", "talks");
  });

  test("gets the container's exit code when it ends", async () => {
    await node.docker("run", "-d", "--name", "ends", "busybox", "sh", "-c", "echo it is; until [ -e /go ]; do sleep 0.1; done; exit 9");
    const terminal = await open("/ws/ends");
    await terminal.shows(/it is\n/);
    await node.docker("exec", "ends", "touch", "/go");
    expect(await terminal.gets("exit")).toEqual({ type: "exit", code: 9 });
    expect(await terminal.closed()).toBe(1000);
    await node.docker("rm", "-f", "ends");
  });

  test("that sends a command immediately, as the documented executor does, sees only its output", async () => {
    await node.docker("run", "-d", "--name", "loud", "busybox", "sh", "-c", "echo loud; sleep 100000");
    const terminal = await open("/ws/loud");
    terminal.type("echo mine\n");
    await new Promise((resolve) => setTimeout(resolve, 100));
    terminal.type("exit\n");
    expect((await terminal.gets("exit")).code).toBe(0);
    expect([terminal.stdout(), terminal.stderr()]).toEqual(["mine\n", ""]);
    await node.docker("rm", "-f", "loud");
  });
});
