import { isUtf8 } from "node:buffer";
import { dropSplitStart } from "./utf8";

/** Output of a command in a JSON response: text if it is UTF-8, otherwise base64 and `<name>_encoding: "base64"`. */
export type Output = Record<string, string | boolean>;

/** Grows in large steps: every copy leaves garbage, and untouched pages of a large buffer cost nothing. */
const FIRST_CAPACITY_BYTES = 4096;
const GROWTH_FACTOR = 16;

/** Keeps the last bytes of a stream, so that memory stays bounded whatever a container prints. */
export class TailBuffer {
  // A ring buffer of copies: chunks that are kept for a while pile up as garbage in the old generation of the heap.
  private ring: Buffer = Buffer.alloc(0);
  private pushedBytes = 0;

  private readonly limitBytes: number;

  /** @param limitBytes rounded down: a setting in MB can make a fraction of a byte */
  constructor(limitBytes: number) {
    this.limitBytes = Math.floor(limitBytes);
  }

  push(chunk: Buffer): void {
    this.grow(Math.min(this.limitBytes, this.pushedBytes + chunk.length));
    const tail = chunk.subarray(Math.max(0, chunk.length - this.ring.length));
    const start = this.ring.length === 0 ? 0 : (this.pushedBytes + chunk.length - tail.length) % this.ring.length;
    const copiedBytes = tail.copy(this.ring, start);
    tail.copy(this.ring, 0, copiedBytes);
    this.pushedBytes += chunk.length;
  }

  get truncated(): boolean {
    return this.pushedBytes > this.limitBytes;
  }

  bytes(): Buffer {
    if (!this.truncated) return this.ring.subarray(0, this.pushedBytes);
    const start = this.pushedBytes % this.limitBytes;
    return Buffer.concat([this.ring.subarray(start), this.ring.subarray(0, start)]);
  }

  // The ring wraps around only at its full size, so that a copy keeps the order of the bytes.
  private grow(wantedBytes: number): void {
    if (wantedBytes <= this.ring.length) return;
    const larger = Buffer.allocUnsafe(
      Math.min(this.limitBytes, Math.max(FIRST_CAPACITY_BYTES, wantedBytes, this.ring.length * GROWTH_FACTOR)),
    );
    this.ring.copy(larger, 0, 0, this.pushedBytes);
    this.ring = larger;
  }
}

/** The fields of a command's output in a JSON response: `stdout`, `stderr`, their encodings, and `truncated` if a start is missing. */
export function outputFields(output: { stdout: TailBuffer; stderr: TailBuffer }): Output {
  const truncated = output.stdout.truncated || output.stderr.truncated;
  return { ...outputField("stdout", output.stdout), ...outputField("stderr", output.stderr), ...(truncated ? { truncated } : {}) };
}

function outputField(name: string, buffer: TailBuffer): Output {
  // The text must not count as binary because a character was cut.
  const bytes = buffer.truncated ? dropSplitStart(buffer.bytes()) : buffer.bytes();
  if (isUtf8(bytes)) return { [name]: bytes.toString() };
  return { [name]: bytes.toString("base64"), [`${name}_encoding`]: "base64" };
}
