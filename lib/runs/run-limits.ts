import type { Readable } from "node:stream";
import { type Frame, framesOf } from "../docker/containers/stream-frames";
import type { Engine } from "../docker/engine";
import { toAppErrorFromEngine } from "../docker/engine-errors";
import { AppError, isNotFound } from "../errors";
import { settlesBefore } from "../support/settles-before";
import { TailBuffer } from "../support/tail-buffer";

/** The limit that ended a run; clients see these names. */
export type RunLimit = "limits.execution_time" | "limits.read.size" | "limits.memory";

/** What ends a run and the waits before it. */
export interface RunSignals {
  /** ends the run */
  cancel: AbortSignal;
  /** ends its wait for a slot */
  slot: AbortSignal;
  /** ends its wait for the image, which is pulled to the end */
  image: AbortSignal;
}

/** The engine can report an out-of-memory kill shortly after the exit it caused. */
const OOM_REPORT_DELAY_MS = 50;
/** Exit code after SIGKILL: 128 + 9. */
const EXIT_SIGKILL = 137;

/**
 * Ends a run after its time, or when it is cancelled.
 * @returns `stop`: aborted with the limit's name as reason, or without one if cancelled; `clear`: call it when the run has ended
 */
export function stopAfter(timeoutMs: number, cancelSignal: AbortSignal): { stop: AbortController; clear: () => void } {
  const stop = new AbortController();
  const cancel = () => stop.abort();
  const timer = setTimeout(() => stop.abort("limits.execution_time" satisfies RunLimit), Math.max(0, timeoutMs));
  if (cancelSignal.aborted) cancel();
  else cancelSignal.addEventListener("abort", cancel, { once: true });
  return {
    stop,
    clear() {
      clearTimeout(timer);
      cancelSignal.removeEventListener("abort", cancel);
    },
  };
}

/** The output of a run, up to its limit. */
export interface RunOutput {
  stdout: TailBuffer;
  stderr: TailBuffer;
}

/**
 * Reads a run's output until it ends, exceeds its limit, or `stop` is aborted; closes the stream in the last two cases.
 * @param limit bytes of both streams together
 * @param stop aborted here with the limit's name if the limit is exceeded
 * @param onFrame gets the output as it arrives; a promise it returns is awaited (backpressure)
 * @param hasStdin whether the stream is also written to
 * @throws AppError ENGINE_UNREACHABLE if the connection to the engine breaks
 */
export async function watchOutput(
  stream: Readable,
  limit: number,
  stop: AbortController,
  onFrame?: (frame: Frame) => Promise<void> | void,
  hasStdin = false,
): Promise<RunOutput> {
  const output = { stdout: new TailBuffer(limit), stderr: new TailBuffer(limit) };
  const close = () => stream.destroy();
  stop.signal.addEventListener("abort", close, { once: true });
  if (stop.signal.aborted) close();
  let remainingBytes = limit;
  try {
    for await (const { stream: name, data } of framesOf(stream, false)) {
      const part = data.subarray(0, remainingBytes);
      remainingBytes -= part.length;
      if (part.length > 0) {
        output[name].push(part);
        const consumed = onFrame?.({ stream: name, data: part });
        if (consumed) await settlesBefore(consumed, stop.signal);
      }
      if (part.length < data.length) stop.abort("limits.read.size" satisfies RunLimit);
      if (stop.signal.aborted) break;
    }
  } catch (error) {
    // A program that doesn't read all of its stdin closes it, which breaks the connection. Whether the engine is alive, the wait for
    // the exit shows.
    const isStdinClosed = hasStdin && ["EPIPE", "ECONNRESET"].includes((error as NodeJS.ErrnoException).code ?? "");
    if (!stop.signal.aborted && !isStdinClosed) throw toAppErrorFromEngine(error);
  } finally {
    stop.signal.removeEventListener("abort", close);
  }
  return output;
}

/** Kills a container; one that has exited or was removed is no error. */
export async function killContainer(engine: Engine, id: string): Promise<void> {
  try {
    await engine.call((docker) => docker.getContainer(id).kill());
  } catch (error) {
    if (!isNotFound(error) && !(error instanceof AppError && error.code === "NOT_RUNNING")) throw error;
  }
}

/** @returns the memory limit's name if an exited container ran out of memory */
export async function findMemoryLimit(engine: Engine, id: string, code: number): Promise<RunLimit | undefined> {
  for (let attempts = code === EXIT_SIGKILL ? 3 : Number(code !== 0); attempts > 0; attempts -= 1) {
    if ((await inspectState(engine, id))?.OOMKilled) return "limits.memory";
    if (attempts > 1) await settlesBefore(new Promise(() => undefined), AbortSignal.timeout(OOM_REPORT_DELAY_MS));
  }
  return undefined;
}

/** A container's state; undefined if the container was removed. */
export async function inspectState(engine: Engine, id: string): Promise<{ OOMKilled: boolean; FinishedAt: string } | undefined> {
  try {
    return (await engine.call((docker) => docker.getContainer(id).inspect())).State;
  } catch (error) {
    if (isNotFound(error)) return undefined;
    throw error;
  }
}
