import type { Duplex } from "node:stream";
import type { Frame } from "../../docker/containers/stream-frames";
import type { ContainerCreateOptions } from "../../docker/engine";
import { fromEngine } from "../../docker/engine-errors";
import { settlesBefore } from "../../support/settles-before";
import { type Attached, type RunDeps, refuse, startAttached } from "../attached-container";
import { type Output, watchOutput } from "../output-limit";
import { exitCode, kill, type Limit, memoryLimit, stopAfter } from "../run-end";

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

/** Runs containers that leave nothing behind. */
export class Jobs {
  constructor(private readonly hands: RunDeps) {}

  /**
   * Creates a container, fills and starts it. If any of it fails, nothing is left.
   * @param ended ends it early
   * @throws AppError INVALID_SPEC, ABANDONED, ENGINE_UNREACHABLE
   */
  async start(spec: JobSpec, ended: AbortSignal): Promise<RunningJob> {
    const attached = await startAttached(this.hands, { ...spec, stdin: spec.stdin !== undefined }, ended);
    if (spec.stdin) (attached.output as Duplex).end(spec.stdin);
    return { id: attached.id, finish: (onFrame, harvest) => this.finish(attached, spec, ended, onFrame, harvest) };
  }

  private async finish(
    { id, output, ending, over, startedAt }: Attached,
    spec: JobSpec,
    ended: AbortSignal,
    onFrame?: (frame: Frame) => Promise<void> | void,
    harvest?: (id: string) => Promise<void>,
  ): Promise<JobEnd> {
    const { engine, leftovers } = this.hands;
    const { stop, clear } = stopAfter(startedAt + spec.time - performance.now(), ended);
    try {
      const kept = await watchOutput(output, spec.output, stop, onFrame, spec.stdin !== undefined);
      if (!(await settlesBefore(over, stop.signal))) await kill(engine, id);
      const code = exitCode(await engine.whileAlive(over));
      refuse(ended);
      const seconds = Math.round(performance.now() - startedAt) / 1000;
      const limit = (stop.signal.reason as Limit | undefined) ?? (await memoryLimit(engine, id, code));
      clear();
      await harvest?.(id);
      return { ...kept, exit_code: code, limit, seconds };
    } catch (error) {
      throw fromEngine(error);
    } finally {
      clear();
      output.destroy();
      ending.destroy();
      await leftovers.container(id);
    }
  }
}
