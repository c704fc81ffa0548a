import type { IncomingMessage } from "node:http";
import type { Duplex, Readable } from "node:stream";
import { text } from "node:stream/consumers";
import type { ContainerList } from "../docker/container-list";
import type { ContainerCreateOptions, Engine } from "../docker/engine";
import { fromEngine } from "../docker/errors";
import type { Frame } from "../docker/frames";
import { AppError } from "../errors";
import { settles } from "../support/settles";
import type { Leftovers } from "./leftovers";
import { type Output, watchOutput } from "./output";

/** Which limit ended a run. */
export type Limit = "limits.execution_time" | "limits.read.size" | "limits.memory";

export interface JobSpec {
  container: ContainerCreateOptions;
  /** given to it, which is then at its end */
  stdin?: Buffer | undefined;
  /** ms from its start */
  time: number;
  /** bytes of both output streams together */
  output: number;
  /** Before its start. */
  fill: (id: string) => Promise<void>;
}

export interface JobEnd extends Output {
  exit_code: number;
  limit: Limit | undefined;
  seconds: number;
}

/** A container from its start to its removal. */
export interface RunningJob {
  id: string;
  /**
   * Waits for its end; then it is gone, whatever happens.
   * @param onFrame gets its output as it comes; what it returns is waited for
   * @param harvest between its end and its removal
   * @throws AppError ABANDONED if it was ended from outside; ENGINE_UNREACHABLE
   */
  finish(onFrame?: (frame: Frame) => Promise<void> | void, harvest?: (id: string) => Promise<void>): Promise<JobEnd>;
}

/** An out-of-memory kill may be known a moment after the end it made (ms). */
const OOM_PAUSE = 50;
const KILLED = 137;

/** Runs containers that leave nothing behind. */
export class Jobs {
  constructor(
    private readonly engine: Engine,
    private readonly containers: ContainerList,
    private readonly leftovers: Leftovers,
  ) {}

  /**
   * Creates a container, fills and starts it. If any of it fails, nothing is left.
   * @param ended ends it early
   * @throws AppError INVALID_SPEC, ABANDONED, ENGINE_UNREACHABLE
   */
  async start(spec: JobSpec, ended: AbortSignal): Promise<RunningJob> {
    const { name, Labels } = await this.leftovers.mark(spec.time / 1000);
    const options = { ...spec.container, name, Labels: { ...spec.container.Labels, ...Labels } };
    const { id } = await this.engine.call((docker) => docker.createContainer(options), "start");
    const open: Readable[] = [];
    try {
      refuse(ended);
      await spec.fill(id);
      const [output, ending] = await Promise.all([this.attach(id, spec.stdin !== undefined), this.wait(id)]);
      open.push(output, ending);
      refuse(ended);
      await this.engine.call((docker, abortSignal) => docker.getContainer(id).start({ abortSignal }), "start");
      const startedAt = performance.now();
      const over = text(ending).catch(() => "");
      this.containers.changed();
      if (spec.stdin) (output as Duplex).end(spec.stdin);
      return { id, finish: (onFrame, harvest) => this.finish(id, { spec, output, ending, over, startedAt, ended }, onFrame, harvest) };
    } catch (error) {
      for (const stream of open) stream.destroy();
      await this.leftovers.container(id);
      throw fromEngine(error, "start");
    }
  }

  private async attach(id: string, stdin: boolean): Promise<Readable> {
    const query = { stream: true, stdin, stdout: true, stderr: true };
    if (!stdin) return this.engine.stream("POST", `/containers/${id}/attach`, { query });
    // Only a connection of its own can be ended at one side.
    return (await this.engine.call((docker) => docker.getContainer(id).attach({ ...query, hijack: true }))) as Duplex;
  }

  // The headers of this wait must be there before the start, or a container that ends at once is never noticed.
  private wait(id: string): Promise<IncomingMessage> {
    return this.engine.stream("POST", `/containers/${id}/wait`, { query: { condition: "next-exit" } });
  }

  private async finish(
    id: string,
    { spec, output, ending, over, startedAt, ended }: Started,
    onFrame?: (frame: Frame) => Promise<void> | void,
    harvest?: (id: string) => Promise<void>,
  ): Promise<JobEnd> {
    const stop = new AbortController();
    const end = () => stop.abort();
    const timer = setTimeout(() => stop.abort("limits.execution_time"), Math.max(0, startedAt + spec.time - performance.now()));
    if (ended.aborted) end();
    else ended.addEventListener("abort", end, { once: true });
    try {
      const kept = await watchOutput(output, spec.output, stop, onFrame);
      if (!(await settles(over, stop.signal))) await this.kill(id);
      const code = exitCode(await this.engine.whileAlive(over));
      refuse(ended);
      const seconds = Math.round(performance.now() - startedAt) / 1000;
      const limit = (stop.signal.reason as Limit | undefined) ?? (await this.memoryLimit(id, code));
      clearTimeout(timer);
      await harvest?.(id);
      return { ...kept, exit_code: code, limit, seconds };
    } catch (error) {
      throw fromEngine(error);
    } finally {
      clearTimeout(timer);
      ended.removeEventListener("abort", end);
      output.destroy();
      ending.destroy();
      await this.leftovers.container(id);
    }
  }

  private async kill(id: string): Promise<void> {
    try {
      await this.engine.call((docker, abortSignal) => docker.getContainer(id).kill({ abortSignal }));
    } catch (error) {
      if (!(error instanceof AppError && (error.code === "NOT_RUNNING" || error.kind === "not_found"))) throw error;
    }
  }

  private async memoryLimit(id: string, code: number): Promise<Limit | undefined> {
    for (let tries = code === KILLED ? 3 : Number(code !== 0); tries > 0; tries -= 1) {
      if (await this.wasOutOfMemory(id)) return "limits.memory";
      if (tries > 1) await settles(new Promise(() => undefined), AbortSignal.timeout(OOM_PAUSE));
    }
    return undefined;
  }

  private async wasOutOfMemory(id: string): Promise<boolean> {
    try {
      const { State } = await this.engine.call((docker, abortSignal) => docker.getContainer(id).inspect({ abortSignal }));
      return State.OOMKilled;
    } catch (error) {
      if (error instanceof AppError && error.kind === "not_found") return false; // somebody has removed it
      throw error;
    }
  }
}

interface Started {
  spec: JobSpec;
  output: Readable;
  ending: Readable;
  /** what the wait answered; empty if the engine went away */
  over: Promise<string>;
  startedAt: number;
  ended: AbortSignal;
}

function refuse(ended: AbortSignal): void {
  if (ended.aborted) throw new AppError("ABANDONED");
}

function exitCode(answer: string): number {
  try {
    return (JSON.parse(answer) as { StatusCode: number }).StatusCode;
  } catch (cause) {
    throw new AppError("ENGINE_UNREACHABLE", { message: "The Docker engine was gone before the run had ended", cause });
  }
}
