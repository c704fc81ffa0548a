import { randomUUID } from "node:crypto";
import fs from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { type Readable, Transform, type Writable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { AppError } from "../errors";

/** Read and written at a time (bytes). */
const CHUNK = 262_144;

/** A file without a name in the folder for temporary files: whatever becomes of this process, nothing of it stays. */
export class Spool {
  readonly fd: number;
  size = 0;
  private readonly streams: (Readable | Writable)[] = [];

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

  writer(): Writable {
    const stream = fs.createWriteStream("", { ...this.shared(), fs: { write: fs.write, close: keptOpen } });
    this.streams.push(stream);
    return stream;
  }

  reader(): Readable {
    const stream = fs.createReadStream("", { ...this.shared(), fs: { read: fs.read, close: keptOpen } });
    this.streams.push(stream);
    return stream;
  }

  private shared() {
    return { fd: this.fd, start: 0, highWaterMark: CHUNK };
  }

  /** Ends whatever reads or writes it, and gives its room back. */
  async close(): Promise<void> {
    await Promise.all(this.streams.map(closed));
    fs.closeSync(this.fd);
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
