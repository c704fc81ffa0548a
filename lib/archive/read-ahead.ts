import fs from "node:fs";
import { Duplex } from "node:stream";
import { promisify } from "node:util";
import { AppError } from "../errors";
import { CHUNK_BYTES, openUnnamedFile, toDiskError } from "./spool";

const readFile = promisify(fs.read);
const writeFile = promisify(fs.write);
const closeFile = promisify(fs.close);

/** So much waits in memory: a reader that keeps pace needs no file. */
const MEMORY_BYTES = 1_048_576;

/** Disk space that streams share. */
export class DiskBudget {
  /** @param freeBytes for all streams together */
  constructor(private freeBytes: number) {}

  /** @returns whether there was so much */
  take(bytes: number): boolean {
    if (bytes > this.freeBytes) return false;
    this.freeBytes -= bytes;
    return true;
  }

  giveBack(bytes: number): void {
    this.freeBytes += bytes;
  }
}

/**
 * Passes bytes on, and takes them in as fast as they come, however slowly they are read: what waits to be read is in an unnamed
 * temporary file, of which nothing remains, even if this process is killed. When the disk or the budget has no more room, bytes are
 * taken in only as fast as they are read.
 */
export class ReadAhead extends Duplex {
  private fd: number | undefined;
  /** Size of the file: it is used again from its beginning when all of it has been read. */
  private allocatedBytes = 0;
  private writtenBytes = 0;
  private readBytes = 0;
  private wantsBytes = false;
  private isComplete = false;
  private reading: Promise<void> | undefined;
  private storing: Promise<boolean> | undefined;
  private onDrained: (() => void) | undefined;

  constructor(private readonly budget: DiskBudget) {
    super({ writableHighWaterMark: CHUNK_BYTES, readableHighWaterMark: MEMORY_BYTES });
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    this.takeIn(chunk).then(() => done(), done);
  }

  override _writev(pieces: { chunk: Buffer }[], done: (error?: Error | null) => void): void {
    this._write(Buffer.concat(pieces.map(({ chunk }) => chunk)), "binary", done);
  }

  override _final(done: () => void): void {
    this.isComplete = true;
    done();
    this.feed();
  }

  override _read(): void {
    this.wantsBytes = true;
    this.feed();
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    // The number of the file can be used again for another one.
    void Promise.allSettled([this.reading, this.storing]).then(async () => {
      if (this.fd !== undefined) await closeFile(this.fd).catch(() => undefined);
      this.budget.giveBack(this.allocatedBytes);
      done(error);
    });
  }

  private async takeIn(bytes: Buffer): Promise<void> {
    if (!this.canPass()) {
      this.storing = this.store(bytes);
      const isStored = await this.storing;
      this.storing = undefined;
      if (isStored) return this.feed();
      await this.drained();
    }
    this.wantsBytes = this.push(bytes);
  }

  /** Whether the next bytes can be read at once. */
  private canPass(): boolean {
    return this.wantsBytes && this.readBytes === this.writtenBytes;
  }

  /** @returns false if there is no room */
  private async store(bytes: Buffer): Promise<boolean> {
    if (this.readBytes === this.writtenBytes) {
      this.readBytes = 0;
      this.writtenBytes = 0;
    }
    const growth = Math.max(0, this.writtenBytes + bytes.length - this.allocatedBytes);
    if (!this.budget.take(growth)) return false;
    this.allocatedBytes += growth;
    try {
      this.fd ??= openUnnamedFile();
      for (let done = 0; done < bytes.length; )
        done += (await writeFile(this.fd, bytes, done, bytes.length - done, this.writtenBytes + done)).bytesWritten;
    } catch (error) {
      const diskError = toDiskError(error);
      if (diskError instanceof AppError && diskError.code === "NO_SPACE") return false;
      throw diskError;
    }
    this.writtenBytes += bytes.length;
    return true;
  }

  private drained(): Promise<void> {
    if (this.canPass()) return Promise.resolve();
    return new Promise((resolve) => {
      this.onDrained = resolve;
    });
  }

  private feed(): void {
    if (!this.wantsBytes || this.reading) return;
    if (this.readBytes < this.writtenBytes) {
      this.reading = this.readStored().catch((error: Error) => void this.destroy(error));
    } else if (this.isComplete) this.push(null);
    else this.onDrained?.();
  }

  private async readStored(): Promise<void> {
    const length = Math.min(CHUNK_BYTES, this.writtenBytes - this.readBytes);
    const { bytesRead, buffer } = await readFile(this.fd as number, Buffer.allocUnsafe(length), 0, length, this.readBytes);
    if (bytesRead === 0) throw new Error("the temporary file is too short");
    this.readBytes += bytesRead;
    this.reading = undefined;
    this.wantsBytes = this.push(buffer.subarray(0, bytesRead));
  }
}
