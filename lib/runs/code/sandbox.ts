import type { Duplex } from "node:stream";
import type { Frame } from "../../docker/containers/stream-frames";
import { toAppErrorFromEngine } from "../../docker/engine-errors";
import { AppError } from "../../errors";
import { settlesBefore } from "../../support/settles-before";
import { TailBuffer } from "../../support/tail-buffer";
import { type AttachedContainer, type RunDeps, startAttached, throwIfCancelled } from "../attached-container";
import { watchOutput } from "../output-limit";
import { exitCode, findMemoryLimit, inspectState, type RunLimit, stopAfter } from "../run-limits";
import { ResultReader } from "./result-reader";
import { type SandboxSettings, sandboxOptions } from "./sandbox-options";

/** An image as sandboxes need it. */
export interface SandboxImage {
  id: string;
  /** the paths at which it wants volumes */
  volumes: string[];
}

/** How a code run ended. */
export interface CodeOutcome {
  /** the object that it wrote, as it wrote it */
  result?: string | undefined;
  limit?: RunLimit | undefined;
  exit_code?: number;
  /** the ends of its output */
  tails: Record<Frame["stream"], TailBuffer>;
  /** It had ended before it got its payload. */
  stale?: boolean;
}

/** Bytes of each stream that an error tells. */
const TAIL = 4000;
/** Why a run is over whose result is there. */
const DONE = "done";

/** A container that has started, under all limits, and reads its payload: for one run. */
export class Sandbox {
  readonly startedAt: number;
  private over = false;
  private closed: Promise<void> | undefined;

  private constructor(
    private readonly hands: RunDeps,
    private readonly settings: SandboxSettings,
    private readonly attached: AttachedContainer,
  ) {
    this.startedAt = attached.startedAt;
    void attached.waitResponse.then(() => {
      this.over = true;
    });
  }

  /**
   * @param life ms that it may wait for its payload
   * @param ended ends it early
   * @throws AppError INVALID_SPEC, ABANDONED, ENGINE_UNREACHABLE; ENGINE_ERROR if there is no such runtime
   */
  static async start(hands: RunDeps, settings: SandboxSettings, image: SandboxImage, life: number, ended: AbortSignal): Promise<Sandbox> {
    const container = sandboxOptions(image, settings);
    const time = settings.run_max_time * 1000 + life;
    const attached = await startAttached(hands, { container, stdin: true, lifetimeMs: time }, ended).catch((error: Error) => {
      throw asRuntimeError(error, settings.run_runtime);
    });
    return new Sandbox(hands, settings, attached);
  }

  /** Whether it still waits; else it has ended by itself. */
  get isWaiting(): boolean {
    return !this.over;
  }

  /** Resolves when its container has ended. */
  get ended(): Promise<unknown> {
    return this.attached.waitResponse;
  }

  /**
   * Gives it its payload and waits for the result, not for its end. To be closed afterwards, whatever comes.
   * @throws AppError ABANDONED if it was ended from outside; ENGINE_UNREACHABLE
   */
  async run(payload: Buffer, ended: AbortSignal): Promise<CodeOutcome> {
    const { engine, reaper } = this.hands;
    const tails = { stdout: new TailBuffer(TAIL), stderr: new TailBuffer(TAIL) };
    if (this.over) return { tails, stale: true };
    const { stop, clear } = stopAfter(this.settings.run_max_time * 1000, ended);
    const begun = reaper.clock.now().catch(() => 0);
    const reader = new ResultReader();
    let result: string | undefined;
    const onFrame = ({ stream, data }: Frame) => {
      tails[stream].push(data);
      if (stream === "stdout") result = reader.push(data);
      if (result !== undefined) stop.abort(DONE);
    };
    try {
      (this.attached.output as Duplex).end(payload);
      await watchOutput(this.attached.output, this.settings.run_max_output, stop, onFrame);
      if (result !== undefined) return { result, tails };
      const isOver = await settlesBefore(this.attached.waitResponse, stop.signal);
      throwIfCancelled(ended);
      if (!isOver) return { limit: stop.signal.reason as RunLimit, tails };
      const code = exitCode(await this.attached.waitResponse);
      const limit = (stop.signal.reason as RunLimit | undefined) ?? (await findMemoryLimit(engine, this.attached.id, code));
      const silent = limit === undefined && tails.stdout.bytes().length + tails.stderr.bytes().length === 0;
      return { exit_code: code, limit, tails, stale: silent && (await this.endedBefore(await begun)) };
    } catch (error) {
      throw toAppErrorFromEngine(error);
    } finally {
      clear();
    }
  }

  /** Removes it, running or not. Never throws. */
  close(): Promise<void> {
    this.attached.output.destroy();
    this.attached.waitStream.destroy();
    this.closed ??= this.hands.reaper.removeContainer(this.attached.id);
    return this.closed;
  }

  /** @param time seconds since 1970, by the engine's clock, and never too late */
  private async endedBefore(time: number): Promise<boolean> {
    const state = await inspectState(this.hands.engine, this.attached.id);
    return state !== undefined && Date.parse(state.FinishedAt) / 1000 < time;
  }
}

/** That a runtime isn't there is the fault of this server's settings, not of a request. */
function asRuntimeError(error: Error, runtime: string | null): Error {
  const isIt = runtime !== null && /runtime/i.test(error.message) && error.message.includes(runtime);
  return isIt
    ? new AppError("ENGINE_ERROR", { message: `The run_runtime ${runtime} can't be had: ${error.message}`, cause: error })
    : error;
}
