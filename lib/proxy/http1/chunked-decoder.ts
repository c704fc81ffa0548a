import { HttpParseError, type RawHeaders, readFields } from "./message-head";

const CR = 13;
const LF = 10;
/** Longest line of a size, with its extensions, and most bytes of trailers. */
const LONGEST_LINE = 16_384;

/** Reads a body in chunks (RFC 9112, section 7.1), however it is cut. */
export class Chunks {
  private left = 0;
  private expects: "size" | "data" | "end" | "trailer" = "size";
  private line = "";
  private readonly trailerLines: string[] = [];
  private trailerBytes = 0;
  /** Those that came, once `over`. */
  trailers: RawHeaders = [];
  over = false;

  /** @param data is given what the chunks hold */
  constructor(private readonly data: (bytes: Buffer) => void) {}

  /**
   * @returns how many bytes of `bytes` belong to the body
   * @throws Unreadable
   */
  take(bytes: Buffer): number {
    let at = 0;
    while (at < bytes.length && !this.over) {
      if (this.expects === "data") {
        const end = Math.min(bytes.length, at + this.left);
        this.left -= end - at;
        if (this.left === 0) this.expects = "end";
        this.data(at === 0 && end === bytes.length ? bytes : bytes.subarray(at, end));
        at = end;
        continue;
      }
      const feed = bytes.indexOf(LF, at);
      const end = feed < 0 ? bytes.length : feed;
      this.line += bytes.toString("latin1", at, end);
      if (this.line.length > LONGEST_LINE) throw new HttpParseError("a chunk's size without an end");
      at = end + 1;
      if (feed < 0) break;
      const line = this.line.charCodeAt(this.line.length - 1) === CR ? this.line.slice(0, -1) : this.line;
      this.line = "";
      this.takeLine(line);
    }
    return Math.min(at, bytes.length);
  }

  private takeLine(line: string): void {
    if (this.expects === "size") {
      const [, size] = /^([0-9a-fA-F]{1,12})[ \t]*(?:;.*)?$/.exec(line) ?? [];
      if (size === undefined) throw new HttpParseError("no chunk's size");
      this.left = Number.parseInt(size, 16);
      this.expects = this.left === 0 ? "trailer" : "data";
    } else if (this.expects === "end") {
      if (line !== "") throw new HttpParseError("a chunk longer than its size");
      this.expects = "size";
    } else if (line === "") {
      this.trailers = readFields(this.trailerLines, 0);
      this.over = true;
    } else {
      this.trailerBytes += line.length;
      if (this.trailerBytes > LONGEST_LINE) throw new HttpParseError("too many trailers");
      this.trailerLines.push(line);
    }
  }
}
