import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readFileSync } from "node:fs";
import { GUARD_SCRIPT, START_SCRIPT } from "../../../../lib/docker/shell/shell-scripts";
import { until } from "../../../../scripts/process";

const DEADLINE_MS = 20_000;
const started: ChildProcess[] = [];
afterEach(() => {
  for (const child of started.splice(0)) child.kill("SIGKILL");
});

/** Starts a script as the engine does: as the leader of a session. */
function start(shell: string, script: string, word: string, seconds = "1000") {
  // Both are tried as `sh`: bash has other rules under that name.
  const child = spawn(shell, ["-c", script, word, ...(script === GUARD_SCRIPT ? [seconds] : [])], {
    argv0: "sh",
    detached: true,
    stdio: ["pipe", "pipe", "inherit"],
  });
  started.push(child);
  let stdout = "";
  child.stdout.on("data", (data) => {
    stdout += data;
  });
  const hasPrinted = (text: string) => until(() => stdout === text, DEADLINE_MS);
  return { child, hasPrinted, ended: once(child, "exit") };
}

/** Commands of the running processes of a session. */
function inSession(leader: number | undefined): string[] {
  const stats = readdirSync("/proc").flatMap((name) => (/^\d+$/.test(name) ? read(`/proc/${name}/stat`) : []));
  return stats.flatMap((stat) => {
    const [, command = "", state = "", session] = /^\d+ \((.*)\) (\w) \d+ \d+ (\d+)/s.exec(stat) ?? [];
    return Number(session) === leader && !/[ZX]/.test(state) ? [command] : [];
  });
}

function read(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return ""; // the process has ended
  }
}

// The docker tests run the scripts in busybox.
describe.each(["dash", "bash"])("in %s, when its input closes, the guard ends", (shell) => {
  test("the session of the named shell, including processes that ignore SIGHUP, and then itself", async () => {
    const guard = start(shell, GUARD_SCRIPT, "word");
    const { child, hasPrinted, ended } = start(shell, START_SCRIPT, "word");
    const hello = `word ${child.pid}\n`;
    expect([await hasPrinted(hello), await guard.hasPrinted(`word ${guard.child.pid}\n`)]).toEqual([true, true]);
    guard.child.stdin?.write(`${child.pid}\n`);
    child.stdin?.write("\n");
    expect(await hasPrinted(hello + hello)).toBe(true);
    child.stdin?.write("trap : HUP; sleep 1000 & nohup sleep 1001 >/dev/null & sleep 1002\n");
    expect(await until(() => inSession(child.pid).filter((command) => command === "sleep").length === 3, DEADLINE_MS)).toBe(true);
    guard.child.stdin?.end();
    await Promise.all([ended, guard.ended]);
    expect(inSession(child.pid)).toEqual([]);
  });

  test("a shell that has not started, but not that of another terminal", async () => {
    const guard = start(shell, GUARD_SCRIPT, "mine");
    const [mine, other] = [start(shell, START_SCRIPT, "mine"), start(shell, START_SCRIPT, "other")];
    for (const each of [mine, other]) expect(await each.hasPrinted(`${each === mine ? "mine" : "other"} ${each.child.pid}\n`)).toBe(true);
    guard.child.stdin?.end();
    await Promise.all([mine.ended, guard.ended]);
    expect(await until(() => inSession(guard.child.pid).length === 0, DEADLINE_MS)).toBe(true);
    expect(inSession(other.child.pid)).toHaveLength(1);
  });

  test("a shell that starts later", async () => {
    const guard = start(shell, GUARD_SCRIPT, "late");
    guard.child.stdin?.end();
    await new Promise((resolve) => setTimeout(resolve, 500));
    await Promise.all([start(shell, START_SCRIPT, "late").ended, guard.ended]);
  });
});

describe.each(["dash", "bash", "busybox"])("in %s, while its input stays open, the guard", (shell) => {
  test("ends a shell that has not started, and itself, when no line comes in time", async () => {
    const guard = start(shell, GUARD_SCRIPT, "silent", "1");
    const starting = start("dash", START_SCRIPT, "silent");
    await Promise.all([starting.ended, guard.ended]);
    expect(inSession(guard.child.pid)).toEqual([]);
  });

  test("goes on, without a process besides, once a line has come", async () => {
    const guard = start(shell, GUARD_SCRIPT, "heard", "1");
    const hello = `heard ${guard.child.pid}\n`;
    expect(await guard.hasPrinted(hello)).toBe(true);
    guard.child.stdin?.write("1000000\n");
    expect(await guard.hasPrinted(`${hello}\n`)).toBe(true);
    expect(await until(() => inSession(guard.child.pid).length === 1, DEADLINE_MS)).toBe(true);
    await new Promise((resolve) => setTimeout(resolve, 1500));
    guard.child.stdin?.write("1000000\n");
    expect(await guard.hasPrinted(`${hello}\n\n`)).toBe(true);
  });
});
