/** Output for a JSON answer: as text if it is UTF-8, else base64 with `<name>_encoding: "base64"` beside it. */
export type Output = Record<string, string | boolean>;

/** Keeps the last `limit` bytes of what is pushed, so that memory stays bounded whatever a container prints. */
export class TailBuffer {
  private chunks: Buffer[] = [];
  private size = 0;
  private cut = false;

  /** @param limit bytes */
  constructor(private readonly limit: number) {}

  push(chunk: Buffer): void {
    this.chunks.push(chunk);
    this.size += chunk.length;
    while (this.size > this.limit) {
      const first = this.chunks[0] as Buffer;
      const excess = this.size - this.limit;
      this.cut = true;
      if (first.length <= excess) this.chunks.shift();
      else this.chunks[0] = first.subarray(excess);
      this.size -= Math.min(first.length, excess);
    }
  }

  get truncated(): boolean {
    return this.cut;
  }

  bytes(): Buffer {
    return Buffer.concat(this.chunks);
  }
}

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

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
  try {
    return { [name]: utf8.decode(bytes) };
  } catch {
    return { [name]: bytes.toString("base64"), [`${name}_encoding`]: "base64" };
  }
}

// A cut may fall inside a character: what is left of it must not make the whole text count as binary.
function fromCharacterStart(bytes: Buffer): Buffer {
  let start = 0;
  while (start < 3 && ((bytes[start] ?? 0) & 0xc0) === 0x80) start += 1;
  return bytes.subarray(start);
}
