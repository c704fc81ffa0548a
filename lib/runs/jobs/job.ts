import type { Duplex } from "node:stream";
import type { Access } from "../../access/access";
import { parseExitCode } from "../../docker/containers/parse-exit-code";
import type { Frame } from "../../docker/containers/stream-frames";
import type { ContainerCreateOptions } from "../../docker/engine";
import { toAppErrorFromEngine } from "../../docker/engine-errors";
import { settlesBefore } from "../../support/settles-before";
import { type AttachedContainer, type RunDeps, startAttached, throwIfCancelled } from "../attached-container";
import { findMemoryLimit, killContainer, type RunLimit, type RunOutput, stopAfter, watchOutput } from "../run-limits";

export interface JobSpec {
  container: ContainerCreateOptions;
  /** what the client may do */
  access: Access;
  /** written to stdin, which is then closed */
  stdin?: Buffer | undefined;
  /** counted from the container's start */
  timeoutMs: number;
  /** of both output streams together */
  maxOutputBytes: number;
  /** called before the start, with the labels that the run gave the container itself */
  prepare: (id: string, labels: Record<string, string>) => Promise<void>;
}

export interface JobResult extends RunOutput {
  exitCode: number;
  limit: RunLimit | undefined;
  durationSeconds: number;
}

/** A container from its start to its removal. */
export interface RunningJob {
  id: string;
  /**
   * Waits for the exit, then removes the container, also after an error.
   * @param onFrame gets the output as it arrives; a promise it returns is awaited
   * @param onExit called between the exit and the removal
   * @throws AppError ABANDONED if cancelled; ENGINE_UNREACHABLE
   */
  finish(onFrame?: (frame: Frame) => Promise<void> | void, onExit?: (id: string) => Promise<void>): Promise<JobResult>;
}

/** Runs containers that are removed at their end. */
export class Jobs {
  constructor(private readonly deps: RunDeps) {}

  /**
   * Creates, prepares and starts a container. If a step fails, the container is removed.
   * @param cancelSignal kills it, before its start or later
   * @throws AppError INVALID_SPEC, REFUSED_BY_TOKEN, ABANDONED, ENGINE_UNREACHABLE
   */
  async start(spec: JobSpec, cancelSignal: AbortSignal): Promise<RunningJob> {
    const { container, access, stdin, timeoutMs, prepare } = spec;
    const attachedSpec = { container, access, stdin: stdin !== undefined, lifetimeMs: timeoutMs, prepare };
    const attached = await startAttached(this.deps, attachedSpec, cancelSignal);
    if (stdin) (attached.output as Duplex).end(stdin);
    return { id: attached.id, finish: (onFrame, onExit) => this.finish(attached, spec, cancelSignal, onFrame, onExit) };
  }

  private async finish(
    { id, output, waitStream, waitResponse, startedAt }: AttachedContainer,
    spec: JobSpec,
    cancelSignal: AbortSignal,
    onFrame?: (frame: Frame) => Promise<void> | void,
    onExit?: (id: string) => Promise<void>,
  ): Promise<JobResult> {
    const { engine, reaper, quotas } = this.deps;
    const { stop, clear } = stopAfter(startedAt + spec.timeoutMs - performance.now(), cancelSignal);
    try {
      const tails = await watchOutput(output, spec.maxOutputBytes, stop, onFrame, spec.stdin !== undefined);
      if (!(await settlesBefore(waitResponse, stop.signal))) await killContainer(engine, id);
      // After a kill the engine may fail to tell the end.
      const deadline = AbortSignal.timeout(engine.readTimeoutMs);
      const code = parseExitCode(await engine.withinDeadline(waitResponse, deadline, "call"));
      throwIfCancelled(cancelSignal);
      const durationSeconds = Math.round(performance.now() - startedAt) / 1000;
      const limit = (stop.signal.reason as RunLimit | undefined) ?? (await findMemoryLimit(engine, id, code));
      clear();
      await onExit?.(id);
      return { ...tails, exitCode: code, limit, durationSeconds };
    } catch (error) {
      throw toAppErrorFromEngine(error);
    } finally {
      clear();
      output.destroy();
      waitStream.destroy();
      await quotas.whileRemoving(id, reaper.removeContainer(id));
    }
  }
}
