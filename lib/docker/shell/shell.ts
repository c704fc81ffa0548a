import { randomBytes } from "node:crypto";
import type { Duplex } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import { AppError, isNotFound } from "../../errors";
import { settlesBefore } from "../../support/settles-before";
import { exec, execExitCode } from "../containers/exec";
import { type Frame, framesOf } from "../containers/stream-frames";
import type { Engine } from "../engine";
import { toAppErrorFromEngine } from "../engine-errors";
import { GUARD_SCRIPT, NO_PROCESS_LEFT, SIGNAL_FOREGROUND_SCRIPT, SIGNAL_SESSION_SCRIPT, START_SCRIPT } from "./shell-scripts";

export interface WindowSize {
  cols: number;
  rows: number;
}

/** Before what has been told to end is killed, and between tries (ms). */
const FIRST_PAUSE_MS = 500;
const MAX_PAUSE_MS = 60_000;
/** A shell that isn't there by then (ms) will not come. */
const START_TIMEOUT_MS = 20_000;
/** Between lines to what guards a shell (ms). */
const GUARD_PING_INTERVAL_MS = 30_000;
/** bytes */
const MAX_PREAMBLE_BYTES = 10_000;

/** A shell in a container, and all that is started in it. */
export class Shell {
  private constructor(
    private readonly engine: Engine,
    private readonly container: string,
    private readonly execId: string,
    readonly input: Duplex,
    private readonly firstFrame: Frame,
    private readonly output: AsyncIterator<Frame>,
    /** of the shell, in the container: of its session, too */
    private readonly pid: string,
    /** Ends it when this connection does: an exec whose connection is closed runs on, also when it was this process's end. */
    private readonly guard: Duplex,
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
    const guard = await openExec(engine, container, GUARD_SCRIPT, word, false);
    let shell: OpenExec | undefined;
    try {
      shell = await openExec(engine, container, START_SCRIPT, word, tty);
      if (size) await resize(engine, shell.id, size);
      const output = framesOf(shell.stream, tty);
      const begun = startGuarded(shell.stream, output, guard.stream, word);
      if (!(await settlesBefore(begun, AbortSignal.timeout(START_TIMEOUT_MS))))
        for (const { stream } of [shell, guard]) stream.destroy(new Error("it does not begin"));
      const { pid, first } = await begun;
      return new Shell(engine, container, shell.id, shell.stream, first, output, pid, guard.stream);
    } catch (error) {
      shell?.stream.end("exit\n");
      guard.stream.destroy();
      throw toAppErrorFromEngine(error);
    }
  }

  /** What it writes; ends with it. @throws AppError ENGINE_UNREACHABLE if the engine goes away meanwhile */
  async *frames(): AsyncGenerator<Frame> {
    if (this.firstFrame.data.length > 0) yield this.firstFrame;
    try {
      for (let next = await this.output.next(); !next.done; next = await this.output.next()) yield next.value;
    } catch (error) {
      throw toAppErrorFromEngine(error);
    }
  }

  /** Its exit code when its output has ended; null if it runs on. */
  exitCode(): Promise<number | null> {
    return execExitCode(this.engine, this.execId);
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
    const code = await this.run(SIGNAL_FOREGROUND_SCRIPT, name);
    if (code !== 0) throw new AppError("NO_SHELL", { message: `The signal ${name} found nothing to take it` });
  }

  /** Ends it and all of its session. Tries for as long as the container runs. */
  async end(): Promise<void> {
    this.input.destroy();
    await this.endSession();
    this.guard.destroy();
  }

  private async endSession(): Promise<void> {
    let name = "HUP";
    for (let pause = FIRST_PAUSE_MS; ; pause = Math.min(pause * 2, MAX_PAUSE_MS)) {
      const code = await this.run(SIGNAL_SESSION_SCRIPT, name).catch(() => null);
      if (code === NO_PROCESS_LEFT) return;
      if (code === 0) name = "KILL";
      // Paused, or without the means to start another process, it may do so later.
      else if (await this.isOver()) return;
      await sleep(pause, undefined, { ref: false });
    }
  }

  private async isOver(): Promise<boolean> {
    const state = this.engine.call((docker, abortSignal) => docker.getExec(this.execId).inspect({ abortSignal }));
    return state.then(({ Running }) => !Running, isNotFound);
  }

  private async run(script: string, name: string): Promise<number | null> {
    const command = ["sh", "-c", script, "sh", this.pid, name];
    const enough = AbortSignal.timeout(START_TIMEOUT_MS);
    return (await exec(this.engine, this.container, { command, tty: false, env: {} }, MAX_PREAMBLE_BYTES, enough)).exit_code;
  }
}

interface OpenExec {
  id: string;
  stream: Duplex;
}

/** Starts a script with the word as its name, and with an input. */
async function openExec(engine: Engine, container: string, script: string, word: string, tty: boolean): Promise<OpenExec> {
  const made = await engine.call((docker, abortSignal) =>
    docker.getContainer(container).exec({
      Cmd: ["sh", "-c", script, word],
      Tty: tty,
      AttachStdin: true,
      AttachStdout: true,
      AttachStderr: true,
      abortSignal,
    }),
  );
  const stream = await engine.call(() => made.start({ Tty: tty, hijack: true, stdin: true }), "start");
  stream.on("error", () => undefined);
  return { id: made.id, stream };
}

// One that has just ended has no size any more, which engines tell in several ways; whatever else is wrong its output tells, too.
async function resize(engine: Engine, execId: string, { cols, rows }: WindowSize): Promise<void> {
  await engine.call((docker, abortSignal) => docker.getExec(execId).resize({ w: cols, h: rows, abortSignal })).catch(() => undefined);
}

/** Lets it become the shell when its guard is there and knows it. */
async function startGuarded(input: Duplex, output: AsyncIterator<Frame>, guard: Duplex, word: string) {
  const answers = framesOf(guard, false);
  const [{ pid }] = await Promise.all([readPid(output, word), readPid(answers, word)]);
  const tell = () => guard.write(`${pid}\n`);
  tell();
  // What lies between may cut a connection on which nothing comes or goes.
  const timer = setInterval(tell, GUARD_PING_INTERVAL_MS).unref();
  guard.once("close", () => clearInterval(timer));
  void drainFrames(answers).catch(() => undefined);
  input.write("\n");
  return readPid(output, word);
}

async function drainFrames(frames: AsyncIterator<Frame>): Promise<void> {
  while (!(await frames.next()).done);
}

/** Reads up to the line with the word and the process id, and what comes after it. */
async function readPid(output: AsyncIterator<Frame>, word: string): Promise<{ pid: string; first: Frame }> {
  let said = Buffer.alloc(0);
  for (let next = await output.next(); !next.done && said.length < MAX_PREAMBLE_BYTES; next = await output.next()) {
    const { stream, data } = next.value;
    said = Buffer.concat([said, data]);
    const found = new RegExp(`${word} (\\d+)\\r?\\n`).exec(said.toString("latin1"));
    if (found?.[1]) return { pid: found[1], first: { stream, data: said.subarray(found.index + found[0].length) } };
  }
  throw new AppError("NO_SHELL", { message: `This container has no sh that can be started: ${said.toString().trim().slice(0, 500)}` });
}
