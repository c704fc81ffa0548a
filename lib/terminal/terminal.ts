import { setTimeout as sleep } from "node:timers/promises";
import type { Frame } from "../docker/containers/stream-frames";
import type { DockerHost } from "../docker/docker-host";
import { Shell, type WindowSize } from "../docker/shell/shell";
import { AppError } from "../errors";
import { type ClientMessage, OutputMessages } from "./protocol";
import { type Client, DONE, FAILED, GOING_AWAY } from "./websocket-client";

export interface TerminalSpec extends WindowSize {
  /** else its shell has pipes, stdout and stderr apart */
  tty: boolean;
  /** The shell begins at once; else with the first input, and until then the container's own output is shown. */
  atOnce: boolean;
}

/** Who types at once wants a shell of its own and not what the container has printed: that is waited for (ms). */
const LISTEN_AFTER = 500;
/** Lines of the container's own output that are shown from before. */
const LINES_BEFORE = 1000;
/** Input (bytes) that may wait for the shell before no more is taken in. */
const INPUT_WAITING = 1_000_000;

/** One client's terminal in a container. */
export class Terminal {
  private shell: Promise<Shell> | undefined;
  private readonly listening = new AbortController();
  private size: WindowSize;

  /**
   * @param container full id
   * @param stop aborted when the server stops
   */
  constructor(
    private readonly docker: DockerHost,
    private readonly container: string,
    private readonly client: Client,
    private readonly spec: TerminalSpec,
    private readonly stop: AbortSignal,
  ) {
    this.size = { cols: spec.cols, rows: spec.rows };
  }

  /** Resolves when the client has gone and nothing of it runs any more. */
  async run(): Promise<void> {
    const { client, stop } = this;
    client.onMessage((message) => this.take(message));
    const leave = () => client.close(GOING_AWAY);
    stop.addEventListener("abort", leave, { once: true });
    if (stop.aborted) leave();
    else if (this.spec.atOnce) void this.begin();
    else void this.listen();
    await aborted(client.gone);
    this.listening.abort();
    await (await this.shell?.catch(() => undefined))?.end();
  }

  private async take(message: ClientMessage): Promise<void> {
    if (message.type === "close") return this.client.leave();
    if (message.type === "resize") this.size = { cols: message.cols, rows: message.rows };
    if (message.type === "stdin") void this.begin();
    if (!this.shell && message.type === "signal")
      throw new AppError("NO_SHELL", { message: "There is no shell yet: it begins with the first stdin" });
    // Whoever starts it tells why it can't be.
    const shell = await this.shell?.catch(() => undefined);
    if (!shell) return;
    if (message.type === "signal") await shell.signal(message.name);
    else if (message.type === "stdin") this.write(shell, message.bytes);
    else if (this.spec.tty) await shell.resize(this.size);
  }

  private write({ input }: Shell, bytes: Buffer): void {
    if (input.destroyed || !input.writable) return;
    input.write(bytes);
    if (input.writableLength < INPUT_WAITING) return;
    input.once("drain", this.client.pause());
  }

  private async begin(): Promise<void> {
    if (this.shell) return;
    this.listening.abort();
    const resume = this.client.pause();
    this.shell = Shell.start(this.docker.engine, this.container, this.spec.tty ? this.size : undefined);
    try {
      const shell = await this.shell.finally(resume);
      await this.show(shell.frames());
      const code = await shell.exitCode();
      if (code === null) throw new AppError("ENGINE_ERROR", { message: "The engine has closed the terminal" });
      await this.client.send({ type: "exit", code });
      this.client.close(DONE);
    } catch (error) {
      if (this.client.gone.aborted) return;
      await this.client.fail(error);
      this.client.close(FAILED);
    }
  }

  private async listen(): Promise<void> {
    const { signal } = this.listening;
    try {
      await sleep(LISTEN_AFTER, undefined, { signal });
      const query = { tail: LINES_BEFORE, timestamps: false, follow: true };
      await this.show(await this.docker.logs.frames(this.container, query, signal));
      const { State } = await this.docker.engine.call((docker, abortSignal) =>
        docker.getContainer(this.container).inspect({ abortSignal }),
      );
      if (signal.aborted) return;
      await this.client.send({ type: "exit", code: State.ExitCode });
      this.client.close(DONE);
    } catch (error) {
      // A shell can still be had.
      if (!signal.aborted) await this.client.fail(error);
    }
  }

  /** Shows what comes as fast as the client takes it in. */
  private async show(frames: AsyncIterable<Frame>): Promise<void> {
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

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });
}
