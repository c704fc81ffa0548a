import type { Readable } from "node:stream";
import { TailBuffer } from "../../support/tail-buffer";
import { fromEngine } from "../engine-errors";
import { FrameParser } from "./stream-frames";

export interface Collected {
  stdout: TailBuffer;
  stderr: TailBuffer;
  /** false if the wait ended first */
  ended: boolean;
}

/**
 * Gathers a command's output until it ends or the wait does, whichever is first; closes the stream.
 * @param limit bytes kept of each stream
 * @param enough ends the wait
 * @throws AppError ENGINE_UNREACHABLE if the engine goes away meanwhile
 */
export async function collect(stream: Readable, tty: boolean, limit: number, enough: AbortSignal): Promise<Collected> {
  const output = { stdout: new TailBuffer(limit), stderr: new TailBuffer(limit) };
  const parser = new FrameParser(tty);
  const stop = () => stream.destroy();
  enough.addEventListener("abort", stop, { once: true });
  if (enough.aborted) stop();
  try {
    for await (const chunk of stream) {
      for (const frame of parser.push(chunk as Buffer)) output[frame.stream].push(frame.data);
    }
  } catch (error) {
    if (!enough.aborted) throw fromEngine(error);
  } finally {
    enough.removeEventListener("abort", stop);
  }
  return { ...output, ended: !enough.aborted };
}
