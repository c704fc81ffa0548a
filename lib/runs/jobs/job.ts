import type { Duplex } from "node:stream";
import type { Frame } from "../../docker/containers/stream-frames";
import type { ContainerCreateOptions } from "../../docker/engine";
import { toAppErrorFromEngine } from "../../docker/engine-errors";
import { settlesBefore } from "../../support/settles-before";
import { type AttachedContainer, type RunDeps, throwIfCancelled, startAttached } from "../attached-container";
import { type RunOutput, watchOutput } from "../output-limit";
import { exitCode, killContainer, type RunLimit, findMemoryLimit, stopAfter } from "../run-limits";

export interface JobSpec {
  container: ContainerCreateOptions;
  /** given to it, which is then at its end */
  stdin?: Buffer | undefined;
  /** ms from its start */
  timeoutMs: number;
  /** bytes of both output streams together */
  maxOutputBytes: number;
  /** Before its start. */
  prepare: (id: string) => Promise<void>;
}

export interface JobEnd extends RunOutput {
  exit_code: number;
  limit: RunLimit | undefined;
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
    { id, output, waitStream, waitResponse, startedAt }: AttachedContainer,
    spec: JobSpec,
    ended: AbortSignal,
    onFrame?: (frame: Frame) => Promise<void> | void,
    harvest?: (id: string) => Promise<void>,
  ): Promise<JobEnd> {
    const { engine, reaper } = this.hands;
    const { stop, clear } = stopAfter(startedAt + spec.timeoutMs - performance.now(), ended);
    try {
      const kept = await watchOutput(output, spec.maxOutputBytes, stop, onFrame, spec.stdin !== undefined);
      if (!(await settlesBefore(waitResponse, stop.signal))) await killContainer(engine, id);
      const code = exitCode(await engine.whileAlive(waitResponse));
      throwIfCancelled(ended);
      const seconds = Math.round(performance.now() - startedAt) / 1000;
      const limit = (stop.signal.reason as RunLimit | undefined) ?? (await findMemoryLimit(engine, id, code));
      clear();
      await harvest?.(id);
      return { ...kept, exit_code: code, limit, seconds };
    } catch (error) {
      throw toAppErrorFromEngine(error);
    } finally {
      clear();
      output.destroy();
      waitStream.destroy();
      await reaper.removeContainer(id);
    }
  }
}
