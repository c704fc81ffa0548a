import type { Duplex } from "node:stream";
import type { Access } from "../../access/access";
import { parseExitCode } from "../../docker/containers/parse-exit-code";
import type { Frame } from "../../docker/containers/stream-frames";
import { toAppErrorFromEngine } from "../../docker/engine-errors";
import { AppError } from "../../errors";
import { settlesBefore } from "../../support/settles-before";
import { TailBuffer } from "../../support/tail-buffer";
import { type AttachedContainer, type RunDeps, startAttached, throwIfCancelled } from "../attached-container";
import { findMemoryLimit, inspectState, type RunLimit, stopAfter, watchOutput } from "../run-limits";
import { ResultReader } from "./result-reader";
import { type SandboxImage, type SandboxSettings, sandboxOptions } from "./sandbox-options";

/** How a code run ended. */
export interface CodeOutcome {
  /** the object that the program wrote, unchanged */
  result?: string | undefined;
  limit?: RunLimit | undefined;
  exitCode?: number;
  /** the last bytes of its output */
  tails: Record<Frame["stream"], TailBuffer>;
  /** The container had exited before it got its payload: the run may be repeated in another sandbox. */
  isStale?: boolean;
}

/** Bytes of each stream that an error includes. */
const TAIL_BYTES = 4000;
/** Abort reason when the result is complete. */
const RESULT_COMPLETE = "done";

/** A started container with all limits of code runs, which reads its payload from stdin. It serves one run. */
export class Sandbox {
  readonly startedAt: number;
  private hasExited = false;
  private closing: Promise<void> | undefined;

  private constructor(
    private readonly deps: RunDeps,
    private readonly settings: SandboxSettings,
    private readonly attached: AttachedContainer,
  ) {
    this.startedAt = attached.startedAt;
    void attached.waitResponse.then(() => {
      this.hasExited = true;
    });
  }

  /**
   * @param access what the client may do
   * @param maxWarmMs how long it may wait for its payload
   * @throws AppError INVALID_SPEC, REFUSED_BY_TOKEN, ABANDONED, ENGINE_UNREACHABLE; ENGINE_ERROR if the host lacks `run_runtime` or CPU quotas
   */
  static async start(
    deps: RunDeps,
    settings: SandboxSettings,
    image: SandboxImage,
    access: Access,
    maxWarmMs: number,
    cancelSignal: AbortSignal,
  ): Promise<Sandbox> {
    const container = sandboxOptions(image, settings);
    const lifetimeMs = settings.run_max_time * 1000 + maxWarmMs;
    const attached = await startAttached(deps, { container, access, stdin: true, lifetimeMs }, cancelSignal).catch((error: Error) => {
      throw toSettingsError(error, settings.run_runtime);
    });
    return new Sandbox(deps, settings, attached);
  }

  /** Whether its container is still running, as far as known. */
  get isWaiting(): boolean {
    return !this.hasExited;
  }

  /** Resolves when the container has exited. */
  get ended(): Promise<unknown> {
    return this.attached.waitResponse;
  }

  /**
   * Sends the payload and waits for the result, not for the exit. Call `close` afterwards in any case.
   * @throws AppError ABANDONED if cancelled; ENGINE_UNREACHABLE
   */
  async run(payload: Buffer, cancelSignal: AbortSignal): Promise<CodeOutcome> {
    const { engine, reaper } = this.deps;
    const tails = { stdout: new TailBuffer(TAIL_BYTES), stderr: new TailBuffer(TAIL_BYTES) };
    if (this.hasExited) return { tails, isStale: true };
    const { stop, clear } = stopAfter(this.settings.run_max_time * 1000, cancelSignal);
    const engineTime = reaper.clock.now().catch(() => 0);
    const reader = new ResultReader();
    let result: string | undefined;
    const onFrame = ({ stream, data }: Frame) => {
      tails[stream].push(data);
      if (stream === "stdout") result = reader.push(data);
      if (result !== undefined) stop.abort(RESULT_COMPLETE);
    };
    try {
      (this.attached.output as Duplex).end(payload);
      await watchOutput(this.attached.output, this.settings.run_max_output, stop, onFrame);
      if (result !== undefined) return { result, tails };
      const hasExited = await settlesBefore(this.attached.waitResponse, stop.signal);
      throwIfCancelled(cancelSignal);
      if (!hasExited) return { limit: stop.signal.reason as RunLimit, tails };
      const code = parseExitCode(await this.attached.waitResponse);
      const limit = (stop.signal.reason as RunLimit | undefined) ?? (await findMemoryLimit(engine, this.attached.id, code));
      const isSilent = limit === undefined && tails.stdout.bytes().length + tails.stderr.bytes().length === 0;
      return { exitCode: code, limit, tails, isStale: isSilent && (await this.exitedBefore(await engineTime)) };
    } catch (error) {
      throw toAppErrorFromEngine(error);
    } finally {
      clear();
    }
  }

  /** Removes the container, running or not. Never throws. */
  close(): Promise<void> {
    this.attached.output.destroy();
    this.attached.waitStream.destroy();
    const { quotas, reaper } = this.deps;
    const { id } = this.attached;
    this.closing ??= quotas.whileRemoving(id, reaper.removeContainer(id));
    return this.closing;
  }

  /** @param time seconds since 1970 by the engine's clock, and never too late */
  private async exitedBefore(time: number): Promise<boolean> {
    const state = await inspectState(this.deps.engine, this.attached.id);
    return state !== undefined && Date.parse(state.FinishedAt) / 1000 < time;
  }
}

/** A missing runtime, or a host without CPU quotas, is a fault of this server's settings, not of the request (the engine answers 400). */
export function toSettingsError(error: Error, runtime: string | null): Error {
  const fault = (message: string) => new AppError("ENGINE_ERROR", { message: `${message}: ${error.message}`, cause: error });
  if (runtime !== null && /runtime/i.test(error.message) && error.message.includes(runtime))
    return fault(`The run_runtime ${runtime} can't be had`);
  if (/CPU CFS|NanoCPUs can not be set/i.test(error.message))
    return fault("This host has no CPU quotas: the server must be started with --run_cpus 0");
  return error;
}
