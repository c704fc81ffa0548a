export interface Frame {
  stream: "stdout" | "stderr";
  data: Buffer;
}

const HEADER_BYTES = 8;

/**
 * Takes apart what the engine multiplexes on one connection (Engine API, "Attach to a container", stream format):
 * 8 bytes of header (kind, 0, 0, 0, big-endian length), then the data.
 */
export class FrameParser {
  private rest: Buffer = Buffer.alloc(0);
  private open: { stream: Frame["stream"]; left: number } | undefined;

  /** @param tty with a terminal the engine sends plain bytes, all of it standard output */
  constructor(private readonly tty: boolean) {}

  /**
   * @param chunk the bytes that came next
   * @returns the data they hold; a long frame is handed on in pieces, never gathered in memory
   */
  push(chunk: Buffer): Frame[] {
    if (this.tty) return [{ stream: "stdout", data: chunk }];
    let bytes = this.rest.length === 0 ? chunk : Buffer.concat([this.rest, chunk]);
    const frames: Frame[] = [];
    while (bytes.length > 0) {
      if (!this.open) {
        if (bytes.length < HEADER_BYTES) break;
        this.open = { stream: bytes[0] === 2 ? "stderr" : "stdout", left: bytes.readUInt32BE(4) };
        bytes = bytes.subarray(HEADER_BYTES);
      }
      const data = bytes.subarray(0, this.open.left);
      if (data.length > 0) frames.push({ stream: this.open.stream, data });
      bytes = bytes.subarray(data.length);
      this.open.left -= data.length;
      if (this.open.left === 0) this.open = undefined;
      else break;
    }
    this.rest = bytes;
    return frames;
  }
}

/** The frames of a stream, as it comes. */
export async function* framesOf(stream: AsyncIterable<Buffer>, tty: boolean): AsyncGenerator<Frame> {
  const parser = new FrameParser(tty);
  for await (const chunk of stream) yield* parser.push(chunk);
}
