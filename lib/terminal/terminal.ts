import { setTimeout as sleep } from "node:timers/promises";
import type { Frame } from "../docker/containers/stream-frames";
import type { DockerHost } from "../docker/docker-host";
import { Shell, type WindowSize } from "../docker/shell/shell";
import { AppError } from "../errors";
import { type ClientMessage, OutputMessages } from "./protocol";
import { type TerminalClient, CLOSE_NORMAL, CLOSE_INTERNAL_ERROR, CLOSE_GOING_AWAY } from "./terminal-client";

export interface TerminalSpec extends WindowSize {
  /** else its shell has pipes, stdout and stderr apart */
  tty: boolean;
  /** The shell begins at once; else with the first input, and until then the container's own output is shown. */
  shellAtOnce: boolean;
}

/** Who types at once wants a shell of its own and not what the container has printed: that is waited for (ms). */
const LOGS_DELAY_MS = 500;
/** Lines of the container's own output that are shown from before. */
const LOGS_TAIL_LINES = 1000;
/** Input (bytes) that may wait for the shell before no more is taken in. */
const INPUT_BUFFER_BYTES = 1_000_000;

/** One client's terminal in a container. */
export class Terminal {
  private shell: Promise<Shell> | undefined;
  private readonly logsAborter = new AbortController();
  private size: WindowSize;

  /**
   * @param containerId full id
   * @param stopSignal aborted when the server stops
   */
  constructor(
    private readonly docker: DockerHost,
    private readonly containerId: string,
    private readonly client: TerminalClient,
    private readonly spec: TerminalSpec,
    private readonly stopSignal: AbortSignal,
  ) {
    this.size = { cols: spec.cols, rows: spec.rows };
  }

  /** Resolves when the client has gone and nothing of it runs any more. */
  async run(): Promise<void> {
    const { client, stopSignal } = this;
    client.onMessage((message) => this.handleMessage(message));
    const leave = () => client.close(CLOSE_GOING_AWAY);
    stopSignal.addEventListener("abort", leave, { once: true });
    if (stopSignal.aborted) leave();
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
    // Whoever starts it tells why it can't be.
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
      await this.forwardOutput(await this.docker.logs.frames(this.containerId, query, signal));
      const { State } = await this.docker.engine.call((docker, abortSignal) =>
        docker.getContainer(this.containerId).inspect({ abortSignal }),
      );
      if (signal.aborted) return;
      await this.client.send({ type: "exit", code: State.ExitCode });
      this.client.close(CLOSE_NORMAL);
    } catch (error) {
      // A shell can still be had.
      if (!signal.aborted) await this.client.sendError(error);
    }
  }

  /** Shows what comes as fast as the client takes it in. */
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
