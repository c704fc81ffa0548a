const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const OPEN = 0x7b;
const CLOSE = 0x7d;
const SPACE = new Set([0x20, 0x09, 0x0a, 0x0d]);

/**
 * Finds the JSON object that a stream of bytes begins with, as soon as it is complete. Each byte is looked at once: whoever writes
 * what looks like an end with every byte makes it no slower.
 */
export class ResultReader {
  private readonly chunks: Buffer[] = [];
  private depth = 0;
  private inText = false;
  private escaped = false;
  private over = false;
  private found: string | undefined;

  /**
   * @param chunk the bytes that came next
   * @returns the object as it was written, once it is complete; what follows it doesn't count
   */
  push(chunk: Buffer): string | undefined {
    if (this.over) return this.found;
    const end = this.endIn(chunk);
    if (this.over && end === 0) return undefined; // what it begins with is no object
    // The bytes are the stream's own: they are kept only until the end.
    this.chunks.push(Buffer.from(chunk.subarray(0, end)));
    if (this.over) this.found = objectOf(Buffer.concat(this.chunks.splice(0)).toString());
    return this.found;
  }

  /** How many bytes of the chunk belong to the object. */
  private endIn(chunk: Buffer): number {
    for (let at = 0; at < chunk.length; at += 1) {
      const byte = chunk[at] as number;
      if (this.inText) this.readText(byte);
      else if (byte === OPEN) this.depth += 1;
      else if (this.depth === 0 && !SPACE.has(byte)) {
        this.over = true;
        return 0;
      } else if (byte === QUOTE) this.inText = true;
      else if (byte === CLOSE) {
        this.depth -= 1;
        if (this.depth > 0) continue;
        this.over = true;
        return at + 1;
      }
    }
    return chunk.length;
  }

  private readText(byte: number): void {
    if (this.escaped) this.escaped = false;
    else if (byte === BACKSLASH) this.escaped = true;
    else if (byte === QUOTE) this.inText = false;
  }
}

function objectOf(text: string): string | undefined {
  try {
    JSON.parse(text);
    return text.trim();
  } catch {
    return undefined;
  }
}
