import type { Readable } from "node:stream";
import { TailBuffer } from "../../support/tail-buffer";
import { toAppErrorFromEngine } from "../engine-errors";
import { framesOf } from "./stream-frames";

export interface CollectedOutput {
  stdout: TailBuffer;
  stderr: TailBuffer;
  /** false if `waitSignal` came before the end of the stream */
  ended: boolean;
}

/**
 * Collects a command's output until the stream ends or `waitSignal` aborts; then destroys the stream.
 * @param tty whether the command has a terminal
 * @param limit bytes kept of each of stdout and stderr, from the end
 * @param onData called at every frame
 * @throws AppError ENGINE_UNREACHABLE if the connection breaks
 */
export async function collectOutput(
  stream: Readable,
  tty: boolean,
  limit: number,
  waitSignal: AbortSignal,
  onData?: () => void,
): Promise<CollectedOutput> {
  const output = { stdout: new TailBuffer(limit), stderr: new TailBuffer(limit) };
  const stop = () => stream.destroy();
  waitSignal.addEventListener("abort", stop, { once: true });
  if (waitSignal.aborted) stop();
  try {
    for await (const frame of framesOf(stream, tty)) {
      onData?.();
      output[frame.stream].push(frame.data);
    }
  } catch (error) {
    if (!waitSignal.aborted) throw toAppErrorFromEngine(error);
  } finally {
    waitSignal.removeEventListener("abort", stop);
  }
  return { ...output, ended: !waitSignal.aborted };
}
