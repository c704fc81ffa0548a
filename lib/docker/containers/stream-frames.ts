import { takingTurns } from "../../support/taking-turns";

export interface Frame {
  stream: "stdout" | "stderr";
  data: Buffer;
}

const HEADER_BYTES = 8;

/**
 * Parses the multiplexed stream of the engine (Engine API, "Attach to a container", stream format): frames of an 8-byte header (stream, 0,
 * 0, 0, big-endian length) and the data.
 */
export class FrameParser {
  private rest: Buffer = Buffer.alloc(0);
  private current: { stream: Frame["stream"]; remaining: number } | undefined;

  /** @param tty with a terminal the stream is not multiplexed: all bytes are standard output */
  constructor(private readonly tty: boolean) {}

  /**
   * @param chunk the next bytes of the stream
   * @returns the data in them; a long frame is returned in parts, without buffering
   */
  push(chunk: Buffer): Frame[] {
    if (this.tty) return [{ stream: "stdout", data: chunk }];
    let bytes = this.rest.length === 0 ? chunk : Buffer.concat([this.rest, chunk]);
    const frames: Frame[] = [];
    while (bytes.length > 0) {
      if (!this.current) {
        if (bytes.length < HEADER_BYTES) break;
        this.current = { stream: bytes[0] === 2 ? "stderr" : "stdout", remaining: bytes.readUInt32BE(4) };
        bytes = bytes.subarray(HEADER_BYTES);
      }
      const data = bytes.subarray(0, this.current.remaining);
      if (data.length > 0) frames.push({ stream: this.current.stream, data });
      bytes = bytes.subarray(data.length);
      this.current.remaining -= data.length;
      if (this.current.remaining === 0) this.current = undefined;
      else break;
    }
    this.rest = bytes;
    return frames;
  }
}

/** Parses a stream into frames as it arrives. Other work of this process gets its turn, however many frames there are. */
export function framesOf(stream: AsyncIterable<Buffer>, tty: boolean): AsyncGenerator<Frame> {
  return takingTurns(parseFrames(stream, tty));
}

async function* parseFrames(stream: AsyncIterable<Buffer>, tty: boolean): AsyncGenerator<Frame> {
  const parser = new FrameParser(tty);
  for await (const chunk of stream) yield* parser.push(chunk);
}
