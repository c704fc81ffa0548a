import type { Readable } from "node:stream";
import { type Frame, FrameParser } from "../docker/containers/stream-frames";
import { toAppErrorFromEngine } from "../docker/engine-errors";
import { settlesBefore } from "../support/settles-before";
import { TailBuffer } from "../support/tail-buffer";

/** What was kept of a run's output. */
export interface RunOutput {
  stdout: TailBuffer;
  stderr: TailBuffer;
}

/**
 * Reads a run's output until it ends, it is more than it may be, or something else ends the run; closes the stream in these cases.
 * @param limit bytes of both streams together
 * @param stop ends it; aborted here with the limit's name if that is passed
 * @param onFrame gets what comes; what it returns is waited for, and with it the run
 * @param fed whether something is written to it, too
 * @throws AppError ENGINE_UNREACHABLE if the engine goes away meanwhile
 */
export async function watchOutput(
  stream: Readable,
  limit: number,
  stop: AbortController,
  onFrame?: (frame: Frame) => Promise<void> | void,
  fed = false,
): Promise<RunOutput> {
  const kept = { stdout: new TailBuffer(limit), stderr: new TailBuffer(limit) };
  const parser = new FrameParser(false);
  const close = () => stream.destroy();
  stop.signal.addEventListener("abort", close, { once: true });
  if (stop.signal.aborted) close();
  let left = limit;
  try {
    for await (const chunk of stream) {
      for (const { stream: name, data } of parser.push(chunk as Buffer)) {
        const part = data.subarray(0, left);
        left -= part.length;
        if (part.length > 0) {
          kept[name].push(part);
          const taken = onFrame?.({ stream: name, data: part });
          if (taken) await settlesBefore(taken, stop.signal);
        }
        if (part.length < data.length) stop.abort("limits.read.size");
        if (stop.signal.aborted) break;
      }
      if (stop.signal.aborted) break;
    }
  } catch (error) {
    // Who doesn't read its input to the end closes its side. Whether the engine lives is told by the wait for the end.
    const closed = fed && ["EPIPE", "ECONNRESET"].includes((error as NodeJS.ErrnoException).code ?? "");
    if (!stop.signal.aborted && !closed) throw toAppErrorFromEngine(error);
  } finally {
    stop.signal.removeEventListener("abort", close);
  }
  return kept;
}
