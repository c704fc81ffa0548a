import { HttpParseError, parseFieldLines, type RawHeaders } from "./message-head";

const CR = 13;
const LF = 10;
/** Limit of a chunk-size line with its extensions, and of all trailers together. */
const MAX_LINE_BYTES = 16_384;

/** Incremental decoder of a chunked body (RFC 9112, section 7.1). */
export class ChunkedDecoder {
  private remainingChunkBytes = 0;
  private state: "size" | "data" | "end" | "trailer" = "size";
  private line = "";
  private readonly trailerLines: string[] = [];
  private trailerBytes = 0;
  /** Set once `done`. */
  trailers: RawHeaders = [];
  done = false;

  /** @param onData receives the decoded bytes, those of one `push` as one piece: chunks of a byte each would cost as many writes */
  constructor(private readonly onData: (bytes: Buffer) => void) {}

  /**
   * Decodes the next bytes of the connection.
   * @param bytes those of the body are moved together within it: an object for each chunk of a log would cost more than its bytes
   * @returns number of bytes that belong to the body
   * @throws HttpParseError
   */
  push(bytes: Buffer): number {
    const data = { start: 0, end: 0 };
    try {
      return this.decode(bytes, data);
    } finally {
      // What came before an invalid chunk is forwarded too.
      if (data.end > data.start) this.onData(bytes.subarray(data.start, data.end));
    }
  }

  private decode(bytes: Buffer, data: { start: number; end: number }): number {
    let offset = 0;
    while (offset < bytes.length && !this.done) {
      if (this.state === "data") {
        const end = Math.min(bytes.length, offset + this.remainingChunkBytes);
        this.remainingChunkBytes -= end - offset;
        if (this.remainingChunkBytes === 0) this.state = "end";
        if (data.end === 0) data.start = data.end = offset;
        else bytes.copyWithin(data.end, offset, end);
        data.end += end - offset;
        offset = end;
        continue;
      }
      const next = this.line === "" ? this.skipPlainLine(bytes, offset) : offset;
      if (next > offset) {
        offset = next;
        continue;
      }
      const lineFeed = bytes.indexOf(LF, offset);
      const end = lineFeed < 0 ? bytes.length : lineFeed;
      this.line += bytes.toString("latin1", offset, end);
      if (this.line.length > MAX_LINE_BYTES) throw new HttpParseError("a chunk's size without an end");
      offset = end + 1;
      if (lineFeed < 0) break;
      const line = this.line.charCodeAt(this.line.length - 1) === CR ? this.line.slice(0, -1) : this.line;
      this.line = "";
      this.pushLine(line);
    }
    return Math.min(offset, bytes.length);
  }

  /**
   * Takes the lines of most chunks without making strings of them: a log has two for each of its lines.
   * @returns the offset after a chunk's size of up to 6 digits, or after the end of a chunk; `offset` for anything else
   */
  private skipPlainLine(bytes: Buffer, offset: number): number {
    let position = offset;
    let size = 0;
    if (this.state === "size") {
      for (let digit = hexDigit(bytes[position]); digit >= 0 && position - offset < 6; digit = hexDigit(bytes[position])) {
        size = size * 16 + digit;
        position += 1;
      }
      if (size === 0) return offset;
    } else if (this.state !== "end") return offset;
    if (bytes[position] !== CR || bytes[position + 1] !== LF) return offset;
    this.remainingChunkBytes = size;
    this.state = this.state === "size" ? "data" : "size";
    return position + 2;
  }

  private pushLine(line: string): void {
    if (this.state === "size") {
      const [, size] = /^([0-9a-fA-F]{1,12})[ \t]*(?:;.*)?$/.exec(line) ?? [];
      if (size === undefined) throw new HttpParseError("no chunk's size");
      this.remainingChunkBytes = Number.parseInt(size, 16);
      this.state = this.remainingChunkBytes === 0 ? "trailer" : "data";
    } else if (this.state === "end") {
      if (line !== "") throw new HttpParseError("a chunk longer than its size");
      this.state = "size";
    } else if (line === "") {
      this.trailers = parseFieldLines(this.trailerLines, 0);
      this.done = true;
    } else {
      this.trailerBytes += line.length;
      if (this.trailerBytes > MAX_LINE_BYTES) throw new HttpParseError("too many trailers");
      this.trailerLines.push(line);
    }
  }
}

/** @returns -1 for what is no digit */
function hexDigit(code: number | undefined): number {
  if (code === undefined) return -1;
  if (code >= 48 && code <= 57) return code - 48;
  const letter = code | 32;
  return letter >= 97 && letter <= 102 ? letter - 87 : -1;
}
