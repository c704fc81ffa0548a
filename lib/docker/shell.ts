import { randomBytes } from "node:crypto";
import type { Duplex } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import { AppError } from "../errors";
import { settles } from "../support/settles";
import type { Engine } from "./engine";
import { fromEngine } from "./errors";
import { exec, exitCode } from "./exec";
import { type Frame, framesOf } from "./frames";

export interface WindowSize {
  cols: number;
  rows: number;
}

/** It waits for a line before it becomes the shell, so that the terminal has its size by then, and tells its process id after a word of ours. */
const BEGIN = `read -r _ || exit
echo "$0 $$"
command -v bash >/dev/null 2>&1 && exec bash
exec sh`;
/** To the foreground of the terminal of session $1, as /proc/PID/stat knows it; without a terminal to the session's first group. */
const SIGNAL = `name=$2 leader=$1
read -r line <"/proc/$leader/stat" || exit
set -- \${line##*) }
group=$6
[ "$group" -gt 1 ] || group=$leader
kill -"$name" -"$group"`;
/** To all of session $1 that still live, one by one; 3 if there are none. */
const SIGNAL_ALL = `name=$2 session=$1 left=3
for stat in /proc/[0-9]*/stat; do
  read -r line 2>/dev/null <"$stat" || continue
  set -- \${line##*) }
  [ "$4" = "$session" ] || continue
  case $1 in Z|X) continue;; esac
  left=0
  kill -"$name" "\${line%% *}" 2>/dev/null
done
exit "$left"`;
const NONE_LEFT = 3;

/** Before what has been told to end is killed, and between tries (ms). */
const FIRST_PAUSE = 500;
const LONGEST_PAUSE = 60_000;
/** A shell that isn't there by then (ms) will not come. */
const PATIENCE = 20_000;
/** bytes */
const FEW = 10_000;

/** A shell in a container, and all that is started in it. */
export class Shell {
  private constructor(
    private readonly engine: Engine,
    private readonly container: string,
    private readonly execId: string,
    readonly input: Duplex,
    private readonly first: Frame,
    private readonly output: AsyncIterator<Frame>,
    /** of the shell, in the container: of its session, too */
    private readonly pid: string,
  ) {}

  /**
   * Starts bash, or sh if there is none.
   * @param container full id
   * @param size of its terminal; absent: it has none
   * @throws AppError NOT_RUNNING, CONTAINER_NOT_FOUND; NO_SHELL if the container has no sh
   */
  static async start(engine: Engine, container: string, size: WindowSize | undefined): Promise<Shell> {
    const word = randomBytes(12).toString("hex");
    const tty = size !== undefined;
    const made = await engine.call((docker, abortSignal) =>
      docker.getContainer(container).exec({
        Cmd: ["sh", "-c", BEGIN, word],
        Tty: tty,
        AttachStdin: true,
        AttachStdout: true,
        AttachStderr: true,
        abortSignal,
      }),
    );
    const stream = await engine.call(() => made.start({ Tty: tty, hijack: true, stdin: true }), "start");
    stream.on("error", () => undefined);
    if (size) await resize(engine, made.id, size);
    stream.write("\n");
    const output = framesOf(stream, tty);
    const begun = begin(output, word);
    if (!(await settles(begun, AbortSignal.timeout(PATIENCE)))) stream.destroy(new Error("it does not begin"));
    try {
      const { pid, first } = await begun;
      return new Shell(engine, container, made.id, stream, first, output, pid);
    } catch (error) {
      stream.end("exit\n");
      throw fromEngine(error);
    }
  }

  /** What it writes; ends with it. @throws AppError ENGINE_UNREACHABLE if the engine goes away meanwhile */
  async *frames(): AsyncGenerator<Frame> {
    if (this.first.data.length > 0) yield this.first;
    try {
      for (let next = await this.output.next(); !next.done; next = await this.output.next()) yield next.value;
    } catch (error) {
      throw fromEngine(error);
    }
  }

  /** Its exit code when its output has ended; null if it runs on. */
  exitCode(): Promise<number | null> {
    return exitCode(this.engine, this.execId);
  }

  resize(size: WindowSize): Promise<void> {
    return resize(this.engine, this.execId, size);
  }

  /**
   * Sends a signal to what runs in the foreground.
   * @param name such as INT
   * @throws AppError NO_SHELL if it has ended
   */
  async signal(name: string): Promise<void> {
    const code = await this.run(SIGNAL, name);
    if (code !== 0) throw new AppError("NO_SHELL", { message: `The signal ${name} found nothing to take it` });
  }

  /** Ends it and all of its session: an exec whose connection is closed runs on. Tries for as long as the container runs. */
  async end(): Promise<void> {
    this.input.destroy();
    let name = "HUP";
    for (let pause = FIRST_PAUSE; ; pause = Math.min(pause * 2, LONGEST_PAUSE)) {
      const code = await this.run(SIGNAL_ALL, name).catch(() => null);
      if (code === NONE_LEFT) return;
      if (code === 0) name = "KILL";
      // Paused, or without the means to start another process, it may do so later.
      else if (await this.isOver()) return;
      await sleep(pause, undefined, { ref: false });
    }
  }

  private async isOver(): Promise<boolean> {
    const state = this.engine.call((docker, abortSignal) => docker.getExec(this.execId).inspect({ abortSignal }));
    return state.then(
      ({ Running }) => !Running,
      (error: AppError) => error.kind === "not_found",
    );
  }

  private async run(script: string, name: string): Promise<number | null> {
    const command = ["sh", "-c", script, "sh", this.pid, name];
    const enough = AbortSignal.timeout(PATIENCE);
    return (await exec(this.engine, this.container, { command, tty: false, env: {} }, FEW, enough)).exit_code;
  }
}

// One that has just ended has no size any more, which engines tell in several ways; whatever else is wrong its output tells, too.
async function resize(engine: Engine, execId: string, { cols, rows }: WindowSize): Promise<void> {
  await engine.call((docker, abortSignal) => docker.getExec(execId).resize({ w: cols, h: rows, abortSignal })).catch(() => undefined);
}

/** Reads up to the line with the word and the process id, which is the last before the shell is there. */
async function begin(output: AsyncIterator<Frame>, word: string): Promise<{ pid: string; first: Frame }> {
  let said = Buffer.alloc(0);
  for (let next = await output.next(); !next.done && said.length < FEW; next = await output.next()) {
    const { stream, data } = next.value;
    said = Buffer.concat([said, data]);
    const found = new RegExp(`${word} (\\d+)\\r?\\n`).exec(said.toString("latin1"));
    if (found?.[1]) return { pid: found[1], first: { stream, data: said.subarray(found.index + found[0].length) } };
  }
  throw new AppError("NO_SHELL", { message: `This container has no sh that can be started: ${said.toString().trim().slice(0, 500)}` });
}
