const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;
/** JSON's whitespace (RFC 8259, section 2) */
const WHITESPACE = new Set([0x20, 0x09, 0x0a, 0x0d]);

/**
 * Finds the JSON object at the beginning of a byte stream as soon as it is complete. Reads each byte once and parses once: output in
 * which every byte looks like the end doesn't slow it down.
 */
export class ResultReader {
  private readonly chunks: Buffer[] = [];
  private depth = 0;
  private inString = false;
  private isEscaped = false;
  private isFinished = false;
  private result: string | undefined;

  /**
   * @param chunk the next bytes
   * @returns the object as it was written, once it is complete; anything after it is ignored
   */
  push(chunk: Buffer): string | undefined {
    if (this.isFinished) return this.result;
    const end = this.findEnd(chunk);
    if (this.isFinished && end === 0) return undefined; // the stream doesn't begin with an object
    // A copy: the chunk can be a small view of a large buffer, which it would keep in memory.
    this.chunks.push(Buffer.from(chunk.subarray(0, end)));
    if (this.isFinished) this.result = validJson(Buffer.concat(this.chunks.splice(0)).toString());
    return this.result;
  }

  /** Number of bytes of the chunk that belong to the object. */
  private findEnd(chunk: Buffer): number {
    for (let index = 0; index < chunk.length; index += 1) {
      const byte = chunk[index] as number;
      if (this.inString) this.readInString(byte);
      else if (byte === OPEN_BRACE) this.depth += 1;
      else if (this.depth === 0 && !WHITESPACE.has(byte)) {
        this.isFinished = true;
        return 0;
      } else if (byte === QUOTE) this.inString = true;
      else if (byte === CLOSE_BRACE) {
        this.depth -= 1;
        if (this.depth > 0) continue;
        this.isFinished = true;
        return index + 1;
      }
    }
    return chunk.length;
  }

  private readInString(byte: number): void {
    if (this.isEscaped) this.isEscaped = false;
    else if (byte === BACKSLASH) this.isEscaped = true;
    else if (byte === QUOTE) this.inString = false;
  }
}

/** @returns the text without surrounding whitespace; undefined if it is not valid JSON */
function validJson(text: string): string | undefined {
  try {
    JSON.parse(text);
    return text.trim();
  } catch {
    return undefined;
  }
}
