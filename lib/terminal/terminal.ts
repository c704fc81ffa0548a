import { setTimeout as sleep } from "node:timers/promises";
import type { Frame } from "../docker/containers/stream-frames";
import type { DockerHost } from "../docker/docker-host";
import { Shell, type WindowSize } from "../docker/shell/shell";
import { AppError } from "../errors";
import { CLOSE_GOING_AWAY, CLOSE_INTERNAL_ERROR, CLOSE_NORMAL, type ClientSocket } from "./client-socket";
import { type ClientMessage, OutputMessages } from "./protocol";

export interface TerminalSpec extends WindowSize {
  /** false: the shell has pipes, which keep stdout and stderr apart */
  tty: boolean;
  /** Whether the shell starts immediately; else it starts with the first input, and the container's logs are shown until then. */
  shellAtOnce: boolean;
}

/** Logs are shown only after this delay: a client that types immediately wants its shell's output alone. */
const LOGS_DELAY_MS = 500;
/** Past lines of the container's logs that are shown first. */
const LOGS_TAIL_LINES = 1000;
/** Input buffered for the shell; above it the client's socket is paused. */
const INPUT_BUFFER_BYTES = 1_000_000;

/** One client's terminal in a container: first the container's logs, then a shell. */
export class Terminal {
  private shell: Promise<Shell> | undefined;
  private readonly logsAborter = new AbortController();
  private size: WindowSize;

  /**
   * @param containerId the full id
   * @param stopSignal aborted when the server stops
   */
  constructor(
    private readonly docker: DockerHost,
    private readonly containerId: string,
    private readonly client: ClientSocket,
    private readonly spec: TerminalSpec,
    private readonly stopSignal: AbortSignal,
  ) {
    this.size = { cols: spec.cols, rows: spec.rows };
  }

  /** Serves the client; resolves when it has disconnected and its shell has ended. Never rejects. */
  async run(): Promise<void> {
    const { client, stopSignal } = this;
    client.onMessage((message) => this.handleMessage(message));
    const closeForStop = () => client.close(CLOSE_GOING_AWAY);
    stopSignal.addEventListener("abort", closeForStop, { once: true });
    if (stopSignal.aborted) closeForStop();
    else if (this.spec.shellAtOnce) void this.startShell();
    else void this.followLogs();
    await whenAborted(client.closedSignal);
    this.logsAborter.abort();
    await (await this.shell?.catch(() => undefined))?.end();
  }

  private async handleMessage(message: ClientMessage): Promise<void> {
    if (message.type === "close") return this.client.closeOnRequest();
    if (message.type === "resize") this.size = { cols: message.cols, rows: message.rows };
    if (message.type === "stdin") void this.startShell();
    if (!this.shell && message.type === "signal")
      throw new AppError("NO_SHELL", { message: "There is no shell yet: it begins with the first stdin" });
    // `startShell` reports a failed start to the client.
    const shell = await this.shell?.catch(() => undefined);
    if (!shell) return;
    if (message.type === "signal") await shell.signal(message.name);
    else if (message.type === "stdin") this.writeInput(shell, message.bytes);
    else if (this.spec.tty) await shell.resize(this.size);
  }

  private writeInput({ input }: Shell, bytes: Buffer): void {
    if (input.destroyed || !input.writable) return;
    input.write(bytes);
    if (input.writableLength < INPUT_BUFFER_BYTES) return;
    input.once("drain", this.client.pause());
  }

  private async startShell(): Promise<void> {
    if (this.shell) return;
    this.logsAborter.abort();
    const resume = this.client.pause();
    this.shell = Shell.start(this.docker.engine, this.containerId, this.spec.tty ? this.size : undefined);
    try {
      const shell = await this.shell.finally(resume);
      await this.forwardOutput(shell.frames());
      const code = await shell.exitCode();
      if (code === null) throw new AppError("ENGINE_ERROR", { message: "The engine has closed the terminal" });
      await this.client.send({ type: "exit", code });
      this.client.close(CLOSE_NORMAL);
    } catch (error) {
      if (this.client.closedSignal.aborted) return;
      await this.client.sendError(error);
      this.client.close(CLOSE_INTERNAL_ERROR);
    }
  }

  private async followLogs(): Promise<void> {
    const { signal } = this.logsAborter;
    try {
      await sleep(LOGS_DELAY_MS, undefined, { signal });
      const query = { tail: LOGS_TAIL_LINES, timestamps: false, follow: true };
      await this.forwardOutput(await this.docker.logs.streamFrames(this.containerId, query, signal));
      const { State } = await this.docker.engine.call((docker) => docker.getContainer(this.containerId).inspect());
      if (signal.aborted) return;
      await this.client.send({ type: "exit", code: State.ExitCode });
      this.client.close(CLOSE_NORMAL);
    } catch (error) {
      // The terminal stays open: a shell may still start.
      if (!signal.aborted) await this.client.sendError(error);
    }
  }

  /** Sends output to the client, reading no faster than the client receives. */
  private async forwardOutput(frames: AsyncIterable<Frame>): Promise<void> {
    const outputs = { stdout: new OutputMessages("stdout"), stderr: new OutputMessages("stderr") };
    for await (const { stream, data } of frames) {
      const message = outputs[stream].push(data);
      if (message) await this.client.send(message);
    }
    for (const output of Object.values(outputs)) {
      const message = output.end();
      if (message) await this.client.send(message);
    }
  }
}

function whenAborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });
}
