import { isUtf8 } from "node:buffer";

/** Output for a JSON answer: as text if it is UTF-8, else base64 with `<name>_encoding: "base64"` beside it. */
export type Output = Record<string, string | boolean>;

/** Memory that was outgrown is garbage for a while: better a few large steps, of which only what is written to is really taken. */
const FIRST_CAPACITY = 4096;
const GROWTH = 16;

/** Keeps the last `limit` bytes of what is pushed, so that memory stays bounded whatever a container prints. */
export class TailBuffer {
  // A ring, into which all is copied: pieces of a stream that were kept for a while would be garbage that piles up.
  private ring: Buffer = Buffer.alloc(0);
  private pushed = 0;

  private readonly limit: number;

  /** @param limit bytes; a fraction of one, as comes of a setting in MB, doesn't count */
  constructor(limit: number) {
    this.limit = Math.floor(limit);
  }

  push(chunk: Buffer): void {
    this.grow(Math.min(this.limit, this.pushed + chunk.length));
    const tail = chunk.subarray(Math.max(0, chunk.length - this.ring.length));
    const start = this.ring.length === 0 ? 0 : (this.pushed + chunk.length - tail.length) % this.ring.length;
    const fitted = tail.copy(this.ring, start);
    tail.copy(this.ring, 0, fitted);
    this.pushed += chunk.length;
  }

  get truncated(): boolean {
    return this.pushed > this.limit;
  }

  bytes(): Buffer {
    if (!this.truncated) return this.ring.subarray(0, this.pushed);
    const start = this.pushed % this.limit;
    return Buffer.concat([this.ring.subarray(start), this.ring.subarray(0, start)]);
  }

  // Until it is as large as it may be, nothing of it is written over.
  private grow(wanted: number): void {
    if (wanted <= this.ring.length) return;
    const larger = Buffer.allocUnsafe(Math.min(this.limit, Math.max(FIRST_CAPACITY, wanted, this.ring.length * GROWTH)));
    this.ring.copy(larger, 0, 0, this.pushed);
    this.ring = larger;
  }
}

/**
 * The fields by which a command's output is answered in JSON.
 * @param output what was kept of both streams
 */
export function outputFields(output: { stdout: TailBuffer; stderr: TailBuffer }): Output {
  const truncated = output.stdout.truncated || output.stderr.truncated;
  return { ...fieldOf("stdout", output.stdout), ...fieldOf("stderr", output.stderr), ...(truncated ? { truncated } : {}) };
}

function fieldOf(name: string, buffer: TailBuffer): Output {
  const bytes = buffer.truncated ? fromCharacterStart(buffer.bytes()) : buffer.bytes();
  if (isUtf8(bytes)) return { [name]: bytes.toString() };
  return { [name]: bytes.toString("base64"), [`${name}_encoding`]: "base64" };
}

// A cut may fall inside a character: what is left of it must not make the whole text count as binary.
function fromCharacterStart(bytes: Buffer): Buffer {
  let start = 0;
  while (start < 3 && ((bytes[start] ?? 0) & 0xc0) === 0x80) start += 1;
  return bytes.subarray(start);
}
