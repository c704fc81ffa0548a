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

/** Pause between the hang-up signal and the kill; doubled after every attempt, up to the maximum. */
const FIRST_PAUSE_MS = 500;
const MAX_PAUSE_MS = 60_000;
/** Deadline for the start of a shell, and for each script that sends signals. */
const START_TIMEOUT_MS = 20_000;
/** The guard gets its first line in this time, or ends the session. */
const GUARD_TIMEOUT_S = 2 * (START_TIMEOUT_MS / 1000);
/** Interval of the lines that are sent to the guard, so that no proxy closes its connection as idle. */
const GUARD_PING_INTERVAL_MS = 30_000;
/** Limit of the output before the line with the process id, and of the output of the scripts that send signals. */
const MAX_PREAMBLE_BYTES = 10_000;

/** A shell in a container, and the session of all processes started in it. */
export class Shell {
  private constructor(
    private readonly engine: Engine,
    private readonly container: string,
    private readonly execId: string,
    readonly input: Duplex,
    private readonly firstFrame: Frame,
    private readonly output: AsyncIterator<Frame>,
    /** process id of the shell inside the container, and so the id of its session */
    private readonly pid: string,
    /**
     * A second exec that ends the session when this connection closes. The engine keeps an exec running when its connection closes, also
     * when this process has died.
     */
    private readonly guard: Duplex,
  ) {}

  /**
   * Starts bash, or sh if the container has no bash.
   * @param container full id
   * @param size of the terminal; undefined for a shell without a terminal
   * @throws AppError NOT_RUNNING, CONTAINER_NOT_FOUND; NO_SHELL if the container has no sh
   */
  static async start(engine: Engine, container: string, size: WindowSize | undefined): Promise<Shell> {
    const marker = randomBytes(12).toString("hex");
    const tty = size !== undefined;
    const guard = await openExec(engine, container, [GUARD_SCRIPT, marker, String(GUARD_TIMEOUT_S)], false);
    let shell: OpenExec | undefined;
    try {
      shell = await openExec(engine, container, [START_SCRIPT, marker], tty);
      if (size) await resize(engine, shell.id, size);
      const output = framesOf(shell.stream, tty);
      const starting = startGuarded(shell.stream, output, guard.stream, marker);
      // Destroying the streams makes `starting` reject.
      if (!(await settlesBefore(starting, AbortSignal.timeout(START_TIMEOUT_MS))))
        for (const { stream } of [shell, guard]) stream.destroy(new Error("it does not begin"));
      const { pid, first } = await starting;
      return new Shell(engine, container, shell.id, shell.stream, first, output, pid, guard.stream);
    } catch (error) {
      shell?.stream.end("exit\n");
      guard.stream.destroy();
      throw toAppErrorFromEngine(error);
    }
  }

  /** The output; ends with the shell. @throws AppError ENGINE_UNREACHABLE if the connection breaks */
  async *frames(): AsyncGenerator<Frame> {
    if (this.firstFrame.data.length > 0) yield this.firstFrame;
    try {
      for (let next = await this.output.next(); !next.done; next = await this.output.next()) yield next.value;
    } catch (error) {
      throw toAppErrorFromEngine(error);
    }
  }

  /** To be called after the end of the output. Returns null if the shell still runs. */
  exitCode(): Promise<number | null> {
    return execExitCode(this.engine, this.execId);
  }

  resize(size: WindowSize): Promise<void> {
    return resize(this.engine, this.execId, size);
  }

  /**
   * Sends a signal to the foreground process group.
   * @param name such as INT
   * @throws AppError NO_SHELL if the shell has ended
   */
  async signal(name: string): Promise<void> {
    const code = await this.run(SIGNAL_FOREGROUND_SCRIPT, name);
    if (code !== 0) throw new AppError("NO_SHELL", { message: `The signal ${name} found nothing to take it` });
  }

  /** Ends all processes of the session. Repeats failed attempts until no process is left or the shell's exec has ended. */
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
      // The signal was not sent: the container may be paused, or at its limit of processes.
      else if (await this.hasEnded()) return;
      await sleep(pause, undefined, { ref: false });
    }
  }

  private async hasEnded(): Promise<boolean> {
    const state = this.engine.call((docker) => docker.getExec(this.execId).inspect());
    return state.then(({ Running }) => !Running, isNotFound);
  }

  private async run(script: string, name: string): Promise<number | null> {
    const command = ["sh", "-c", script, "sh", this.pid, name];
    const waitSignal = AbortSignal.timeout(START_TIMEOUT_MS);
    return (await exec(this.engine, this.container, { command, tty: false, env: {} }, MAX_PREAMBLE_BYTES, waitSignal)).exit_code;
  }
}

interface OpenExec {
  id: string;
  stream: Duplex;
}

/** Starts a script with standard input. @param script with its arguments from `$0` */
async function openExec(engine: Engine, container: string, script: string[], tty: boolean): Promise<OpenExec> {
  const created = await engine.call((docker) =>
    docker.getContainer(container).exec({
      Cmd: ["sh", "-c", ...script],
      Tty: tty,
      AttachStdin: true,
      AttachStdout: true,
      AttachStderr: true,
    }),
  );
  const stream = await engine.hijack(`/exec/${created.id}/start`, { body: { Tty: tty }, operation: "start" });
  stream.on("error", () => undefined);
  return { id: created.id, stream };
}

// Engines report the resize of an ended exec in several ways. Every other failure also ends the output.
async function resize(engine: Engine, execId: string, { cols, rows }: WindowSize): Promise<void> {
  await engine.call((docker) => docker.getExec(execId).resize({ w: cols, h: rows })).catch(() => undefined);
}

/** Gives the guard the shell's process id, then lets the start script become the shell. */
async function startGuarded(input: Duplex, output: AsyncIterator<Frame>, guard: Duplex, marker: string) {
  const answers = framesOf(guard, false);
  const [{ pid }] = await Promise.all([readPid(output, marker), readPid(answers, marker)]);
  const sendPid = () => guard.write(`${pid}\n`);
  sendPid();
  const timer = setInterval(sendPid, GUARD_PING_INTERVAL_MS).unref();
  guard.once("close", () => clearInterval(timer));
  void drainFrames(answers).catch(() => undefined);
  input.write("\n");
  return readPid(output, marker);
}

async function drainFrames(frames: AsyncIterator<Frame>): Promise<void> {
  while (!(await frames.next()).done);
}

/** Reads up to the line with the marker and the process id. `first` is the output after that line. */
async function readPid(output: AsyncIterator<Frame>, marker: string): Promise<{ pid: string; first: Frame }> {
  let received = Buffer.alloc(0);
  for (let next = await output.next(); !next.done && received.length < MAX_PREAMBLE_BYTES; next = await output.next()) {
    const { stream, data } = next.value;
    received = Buffer.concat([received, data]);
    const found = new RegExp(`${marker} (\\d+)\\r?\\n`).exec(received.toString("latin1"));
    if (found?.[1]) return { pid: found[1], first: { stream, data: received.subarray(found.index + found[0].length) } };
  }
  throw new AppError("NO_SHELL", { message: `This container has no sh that can be started: ${received.toString().trim().slice(0, 500)}` });
}
