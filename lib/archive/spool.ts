import { randomUUID } from "node:crypto";
import fs from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { type Readable, Writable } from "node:stream";
import { finished } from "node:stream/promises";
import { promisify } from "node:util";
import { LRUCache } from "lru-cache";
import { AppError } from "../errors";
import { onPrematureClose } from "../support/premature-close";

/** Read and written at a time (bytes): in smaller pieces most of the time goes into handing them on. */
export const CHUNK = 1_048_576;
/** What comes in pieces that are smaller still is written when there are so many: each of them takes more memory than its bytes. */
const PIECES = 256;
/** Pieces that may wait while others are written. */
const AHEAD = 64;
/** What is read here and there is read in blocks of this size (bytes), and the last ones are kept. */
const BLOCK = 65_536;
const BLOCKS = 4;

const readAt = promisify(fs.read);
const writeAt = promisify(fs.writev);

/**
 * A file without a name in the folder for temporary files: whatever becomes of this process, nothing of it stays.
 * What is read of it while it is still filled waits until it is there.
 */
export class Spool {
  /** bytes that have come */
  size = 0;
  private written = 0;
  private state: "filling" | "whole" | "over" = "filling";
  private readonly fd: number;
  private readonly calls = new Set<Promise<unknown>>();
  private readonly waiting = new Set<() => void>();
  private readonly readers = new Set<Readable>();
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
    const taken = this.writer(limit);
    onPrematureClose(source, (error = new LeftEarly()) => taken.destroy(error));
    // The request outlives what it carries: it is still to be answered.
    source.pipe(taken);
    try {
      await finished(taken);
      this.change("whole");
    } catch (error) {
      source.unpipe(taken);
      this.change("over");
      throw ofThisNode(error);
    }
  }

  private writer(limit: number): Writable {
    let pieces: Buffer[] = [];
    let size = 0;
    const write = () => {
      const written = this.write(pieces, size);
      pieces = [];
      size = 0;
      return written;
    };
    return new Writable({
      // More comes while a chunk is written. It is counted by its pieces, which may be of a byte and of 64 kB.
      objectMode: true,
      highWaterMark: AHEAD,
      write: (chunk: Buffer, _encoding, done) => {
        this.size += chunk.length;
        if (this.size > limit) return done(tooLarge(limit));
        pieces.push(chunk);
        size += chunk.length;
        if (size < CHUNK && pieces.length < PIECES) done();
        else write().then(() => done(), done);
      },
      final: (done) => void write().then(() => done(), done),
    });
  }

  private async write(pieces: Buffer[], size: number): Promise<void> {
    for (let done = 0, left = pieces; done < size; ) {
      const { bytesWritten } = await this.call(() => writeAt(this.fd, left, this.written));
      done += bytesWritten;
      this.written += bytesWritten;
      // On a full disk, say. What comes of the rest tells why.
      if (done < size) left = [Buffer.concat(pieces).subarray(done)];
    }
    this.wake();
  }

  /** Its bytes from one to another, both included. */
  reader(start: number, end: number): Readable {
    const own = { read: this.readStreamed, close: keptOpen };
    const reader = fs.createReadStream("", { fd: this.fd, start, end, highWaterMark: CHUNK, fs: own });
    this.readers.add(reader);
    // Whoever reads it gets it.
    return reader.on("error", () => undefined).once("close", () => this.readers.delete(reader));
  }

  private readonly readStreamed = (
    _fd: number,
    into: Buffer,
    offset: number,
    length: number,
    position: number,
    done: (error: Error | null, read?: number, into?: Buffer) => void,
  ) => {
    const read = async () => {
      await this.reaches(position);
      return this.call(() => readAt(this.fd, into, offset, length, position));
    };
    read().then(({ bytesRead }) => done(null, bytesRead, into), done);
  };

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
    // One that isn't whole would be kept as it is.
    await this.reaches((number + 1) * BLOCK - 1);
    const { buffer, bytesRead } = await this.call(() => readAt(this.fd, Buffer.allocUnsafeSlow(BLOCK), 0, BLOCK, number * BLOCK));
    const block = buffer.subarray(0, bytesRead);
    this.blocks.set(number, block);
    return block;
  }

  /** Waits until the byte at a position is there, or nothing more comes. */
  private async reaches(position: number): Promise<void> {
    while (this.state === "filling" && this.written <= position) await new Promise<void>((resolve) => this.waiting.add(resolve));
  }

  private change(state: Spool["state"]): void {
    if (this.state !== "over") this.state = state;
    this.wake();
  }

  private wake(): void {
    for (const resolve of this.waiting) resolve();
    this.waiting.clear();
  }

  /** Once the file is closed its number could be another file's. */
  private async call<T>(work: () => Promise<T>): Promise<T> {
    if (this.state === "over") throw new LeftEarly();
    const call = work();
    this.calls.add(call);
    return call.finally(() => this.calls.delete(call));
  }

  /** Ends whatever is done with it, and gives its room back. */
  async close(): Promise<void> {
    this.change("over");
    for (const reader of this.readers) reader.destroy(new LeftEarly());
    await Promise.allSettled(this.calls);
    // For a large one that takes a while, for which nobody need wait.
    fs.close(this.fd, () => undefined);
  }
}

/** Streams destroyed close their file, which others may still read. */
const keptOpen = (_fd: number, done: (error?: Error | null) => void) => done(null);

/** Whoever sent it, or wanted it, has gone before its end. */
class LeftEarly extends Error {}

export const tooLarge = (limit: number) =>
  new AppError("CONTENT_TOO_LARGE", { message: `More than ${limit} bytes are not taken`, details: { limit } });

/** What this host's file system said, as an error for the client. */
export function ofThisNode(error: unknown): unknown {
  const full = error instanceof Error && "code" in error && (error.code === "ENOSPC" || error.code === "EDQUOT");
  return full ? new AppError("NO_SPACE", { message: "This node has no room to take in an upload", cause: error }) : error;
}
