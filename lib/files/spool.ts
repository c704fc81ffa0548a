import { randomUUID } from "node:crypto";
import fs from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { type Readable, Transform, type Writable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { promisify } from "node:util";
import { LRUCache } from "lru-cache";
import { AppError } from "../errors";

/** Read and written at a time (bytes): in smaller pieces most of the time goes into handing them on. */
export const CHUNK = 1_048_576;
/** What is read here and there is read in blocks of this size (bytes), and the last ones are kept. */
const BLOCK = 65_536;
const BLOCKS = 4;

const readAt = promisify(fs.read);

/** A file without a name in the folder for temporary files: whatever becomes of this process, nothing of it stays. */
export class Spool {
  size = 0;
  private readonly fd: number;
  private readonly streams = new Set<Readable | Writable>();
  private readonly blocks = new LRUCache<number, Buffer>({ max: BLOCKS });

  /** @throws AppError NO_SPACE, INTERNAL */
  constructor() {
    try {
      const name = path.join(tmpdir(), `docker-server-${randomUUID()}`);
      this.fd = fs.openSync(name, "wx+", 0o600);
      fs.unlinkSync(name);
    } catch (error) {
      throw ofThisNode(error);
    }
  }

  /**
   * Takes in all that comes.
   * @param limit bytes
   * @throws AppError CONTENT_TOO_LARGE, NO_SPACE; whatever goes wrong with what comes
   */
  async fill(source: Readable, limit: number): Promise<void> {
    const counted = new Transform({
      transform: (chunk: Buffer, _encoding, done) => {
        this.size += chunk.length;
        done(this.size > limit ? tooLarge(limit) : null, chunk);
      },
    });
    source.once("error", (error) => counted.destroy(error)).once("close", () => source.readableEnded || counted.destroy(new LeftEarly()));
    // The request outlives what it carries: it is still to be answered.
    source.pipe(counted);
    try {
      await pipeline(counted, this.writer());
    } catch (error) {
      source.unpipe(counted);
      throw ofThisNode(error);
    }
  }

  private writer(): Writable {
    const { write, writev } = fs;
    return this.open(fs.createWriteStream("", { fd: this.fd, start: 0, highWaterMark: CHUNK, fs: { write, writev, close: keptOpen } }));
  }

  /** Its bytes from one to another, both included. */
  reader(start: number, end: number): Readable {
    const { read } = fs;
    return this.open(fs.createReadStream("", { fd: this.fd, start, end, highWaterMark: CHUNK, fs: { read, close: keptOpen } }));
  }

  private open<S extends Readable | Writable>(stream: S): S {
    this.streams.add(stream);
    stream.once("close", () => this.streams.delete(stream));
    return stream;
  }

  /**
   * Reads what fits into a buffer: for many small pieces, most of which lie near the one before.
   * @returns bytes read, fewer only at the end
   */
  async read(into: Buffer, position: number): Promise<number> {
    let done = 0;
    while (done < into.length) {
      const number = Math.floor((position + done) / BLOCK);
      const copied = (await this.block(number)).subarray(position + done - number * BLOCK).copy(into, done);
      if (copied === 0) break;
      done += copied;
    }
    return done;
  }

  private async block(number: number): Promise<Buffer> {
    const kept = this.blocks.get(number);
    if (kept) return kept;
    const { buffer, bytesRead } = await readAt(this.fd, Buffer.allocUnsafeSlow(BLOCK), 0, BLOCK, number * BLOCK);
    const block = buffer.subarray(0, bytesRead);
    this.blocks.set(number, block);
    return block;
  }

  /** Ends whatever streams of it there are, and gives its room back. */
  async close(): Promise<void> {
    await Promise.all([...this.streams].map(closed));
    // For a large one that takes a while, for which nobody need wait.
    fs.close(this.fd, () => undefined);
  }
}

/** Streams destroyed close their file, which others may still read: the number could be another file's by then. */
const keptOpen = (_fd: number, done: (error?: Error | null) => void) => done(null);

function closed(stream: Readable | Writable): Promise<void> {
  return new Promise((resolve) => {
    if (stream.closed) return resolve();
    stream.once("close", () => resolve()).on("error", () => undefined);
    stream.destroy();
  });
}

/** Whoever sent it has gone before its end. */
class LeftEarly extends Error {}

export const tooLarge = (limit: number) =>
  new AppError("CONTENT_TOO_LARGE", { message: `More than ${limit} bytes are not taken`, details: { limit } });

/** What this host's file system said, as an error for the client. */
export function ofThisNode(error: unknown): unknown {
  const full = error instanceof Error && "code" in error && (error.code === "ENOSPC" || error.code === "EDQUOT");
  return full ? new AppError("NO_SPACE", { message: "This node has no room to take in an upload", cause: error }) : error;
}
