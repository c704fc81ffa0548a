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
import { contentTooLarge } from "./limits";

/** Bytes of one read or write: with smaller pieces, the overhead per call dominates. */
export const CHUNK_BYTES = 1_048_576;
/** Pieces that are written together at most, however small: each takes more memory than its bytes. */
const MAX_PIECES_PER_WRITE = 256;
/** Pieces accepted while others are being written. */
const MAX_QUEUED_PIECES = 64;
/** Random reads go through a cache of blocks. */
const BLOCK_BYTES = 65_536;
const CACHED_BLOCKS = 4;

const readFile = promisify(fs.read);
const writeFile = promisify(fs.writev);

/**
 * An unnamed temporary file: nothing of it remains, even if this process is killed. It can be read while it is being filled; a read
 * waits until its bytes have been written.
 */
export class Spool {
  /** bytes received */
  size = 0;
  private writtenBytes = 0;
  private state: "filling" | "complete" | "closed" = "filling";
  private readonly pendingCalls = new Set<Promise<unknown>>();
  private readonly waiters = new Set<() => void>();
  private readonly readers = new Set<Readable>();
  private readonly blocks = new LRUCache<number, Buffer>({ max: CACHED_BLOCKS });

  private constructor(private readonly fd: number) {}

  /** @throws AppError NO_SPACE */
  static create(): Spool {
    return new Spool(openUnnamedFile());
  }

  /**
   * Writes a whole stream.
   * @param limit bytes
   * @throws AppError CONTENT_TOO_LARGE, NO_SPACE; the stream's own errors
   */
  async fill(source: Readable, limit: number): Promise<void> {
    const writer = this.createWriter(limit);
    onPrematureClose(source, (error = new ClosedEarlyError()) => writer.destroy(error));
    // Not stream.pipeline: it would destroy the request, which still needs a response.
    source.pipe(writer);
    try {
      await finished(writer);
      this.setState("complete");
    } catch (error) {
      source.unpipe(writer);
      this.setState("closed");
      throw toDiskError(error);
    }
  }

  private createWriter(limit: number): Writable {
    let pieces: Buffer[] = [];
    let size = 0;
    const flush = () => {
      const written = this.write(pieces, size);
      pieces = [];
      size = 0;
      return written;
    };
    return new Writable({
      // Counts queued pieces instead of bytes: a piece can have one byte or 64 kB.
      objectMode: true,
      highWaterMark: MAX_QUEUED_PIECES,
      write: (chunk: Buffer, _encoding, done) => {
        this.size += chunk.length;
        if (this.size > limit) return done(contentTooLarge(limit));
        pieces.push(chunk);
        size += chunk.length;
        if (size < CHUNK_BYTES && pieces.length < MAX_PIECES_PER_WRITE) done();
        else flush().then(() => done(), done);
      },
      final: (done) => void flush().then(() => done(), done),
    });
  }

  private async write(pieces: Buffer[], size: number): Promise<void> {
    for (let done = 0, remaining = pieces; done < size; ) {
      const { bytesWritten } = await this.call(() => writeFile(this.fd, remaining, this.writtenBytes));
      done += bytesWritten;
      this.writtenBytes += bytesWritten;
      // A short write, for example on a full disk: writing the rest gives the error.
      if (done < size) remaining = [Buffer.concat(pieces).subarray(done)];
    }
    this.wakeWaiters();
  }

  /** Streams the bytes from `start` to `end`, both included. */
  createReadStream(start: number, end: number): Readable {
    const fileSystem = { read: this.readForStream, close: closeNothing };
    const reader = fs.createReadStream("", { fd: this.fd, start, end, highWaterMark: CHUNK_BYTES, fs: fileSystem });
    this.readers.add(reader);
    // The reader's consumer gets the error too.
    return reader.on("error", () => undefined).once("close", () => this.readers.delete(reader));
  }

  private readonly readForStream = (
    _fd: number,
    buffer: Buffer,
    offset: number,
    length: number,
    position: number,
    done: (error: Error | null, bytesRead?: number, buffer?: Buffer) => void,
  ) => {
    const read = async () => {
      await this.waitForByte(position);
      return this.call(() => readFile(this.fd, buffer, offset, length, position));
    };
    read().then(({ bytesRead }) => done(null, bytesRead, buffer), done);
  };

  /**
   * Fills a buffer from a position. For many small reads, most of them near the previous one.
   * @returns bytes read; fewer than the buffer holds only at the end of the file
   */
  async readAt(buffer: Buffer, position: number): Promise<number> {
    let done = 0;
    while (done < buffer.length) {
      const number = Math.floor((position + done) / BLOCK_BYTES);
      const copied = (await this.block(number)).subarray(position + done - number * BLOCK_BYTES).copy(buffer, done);
      if (copied === 0) break;
      done += copied;
    }
    return done;
  }

  private async block(number: number): Promise<Buffer> {
    const cached = this.blocks.get(number);
    if (cached) return cached;
    // Wait for the whole block: an incomplete one would stay in the cache.
    await this.waitForByte((number + 1) * BLOCK_BYTES - 1);
    const { buffer, bytesRead } = await this.call(() =>
      readFile(this.fd, Buffer.allocUnsafeSlow(BLOCK_BYTES), 0, BLOCK_BYTES, number * BLOCK_BYTES),
    );
    const block = buffer.subarray(0, bytesRead);
    this.blocks.set(number, block);
    return block;
  }

  /** Waits until the byte at a position has been written, or the file is complete or closed. */
  private async waitForByte(position: number): Promise<void> {
    while (this.state === "filling" && this.writtenBytes <= position) await new Promise<void>((resolve) => this.waiters.add(resolve));
  }

  private setState(state: Spool["state"]): void {
    if (this.state !== "closed") this.state = state;
    this.wakeWaiters();
  }

  private wakeWaiters(): void {
    for (const resolve of this.waiters) resolve();
    this.waiters.clear();
  }

  /** Tracks calls with the file descriptor: `close` waits for them, because the number can be reused for another file. */
  private async call<T>(work: () => Promise<T>): Promise<T> {
    if (this.state === "closed") throw new ClosedEarlyError();
    const call = work();
    this.pendingCalls.add(call);
    return call.finally(() => this.pendingCalls.delete(call));
  }

  /** Ends all reads and writes, and frees the disk space. */
  async close(): Promise<void> {
    this.setState("closed");
    for (const reader of this.readers) reader.destroy(new ClosedEarlyError());
    await Promise.allSettled(this.pendingCalls);
    // Not awaited: closing a large file takes a while.
    fs.close(this.fd, () => undefined);
  }
}

/**
 * Opens a temporary file without a name for reading and writing: nothing of it remains, even if this process is killed.
 * @returns the file descriptor
 * @throws AppError NO_SPACE
 */
export function openUnnamedFile(): number {
  try {
    const name = path.join(tmpdir(), `docker-server-${randomUUID()}`);
    const fd = fs.openSync(name, "wx+", 0o600);
    fs.unlinkSync(name);
    return fd;
  } catch (error) {
    throw toDiskError(error);
  }
}

/** A destroyed read stream would close the file descriptor, which other readers still use. */
const closeNothing = (_fd: number, done: (error?: Error | null) => void) => done(null);

/** The sender or the reader closed before the end. */
class ClosedEarlyError extends Error {}

/** @returns AppError NO_SPACE for a full disk or quota; other errors unchanged */
export function toDiskError(error: unknown): unknown {
  const isFull = error instanceof Error && "code" in error && (error.code === "ENOSPC" || error.code === "EDQUOT");
  return isFull ? new AppError("NO_SPACE", { message: "This node has no room to take in an upload", cause: error }) : error;
}
