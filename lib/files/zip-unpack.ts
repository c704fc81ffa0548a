import { read } from "node:fs";
import { Transform, type Writable } from "node:stream";
import { finished, pipeline } from "node:stream/promises";
import { promisify } from "node:util";
import { crc32, createInflateRaw, inflateRawSync } from "node:zlib";
import { type Header, type Pack, pack } from "tar-stream";
import type { Entry } from "yauzl";
import { ArchiveFault } from "../support/archive-names";
import { ofThisNode, type Spool } from "./spool";
import { asFault, openZip, zipEntries } from "./zip-file";

/** Up to this size (bytes), packed and unpacked, an entry is read in one piece: streams cost more than they save. */
const SMALL = 65_536;
/** Unpacked at a time (bytes): by zlib's own 16 KB most of the time goes into handing them on. */
const CHUNK = 262_144;

const FILE_MODE = 0o644;
const EXECUTABLE_MODE = 0o755;
const FOLDER_MODE = 0o755;

const OTHER_SIZE = "has an entry of another size than it says";

const readAt = promisify(read);
type Zip = Awaited<ReturnType<typeof openZip>>;

export interface Owner {
  uid: number;
  gid: number;
}

/**
 * Writes what a checked zip archive holds as a tar, and checks every byte of it on the way.
 * @param into takes the tar
 * @param prefix of all names in it: empty, or with a slash at its end
 * @param folders to begin with, by their names in the tar
 * @throws ArchiveFault for what can't be read; AppError NO_SPACE
 */
export async function unpackZip(spool: Spool, into: Spool, prefix: string, folders: readonly string[], owner: Owner): Promise<void> {
  const tar = pack();
  const writer = into.writer();
  const written = finished(writer);
  written.catch((error) => tar.destroy(error)); // whoever waits for the tar is told
  tar.on("error", (error) => writer.destroy(error));
  tar.pipe(writer as never);
  const mtime = new Date();
  try {
    for (const name of folders) await add(tar, { name: `${name}/`, type: "directory", mode: FOLDER_MODE, mtime, ...owner });
    const zip = await openZip(spool.fd);
    for await (const { name, folder, executable, entry } of zipEntries(zip)) {
      if (folder) continue;
      const mode = executable ? EXECUTABLE_MODE : FILE_MODE;
      const header = { name: prefix + name, size: entry.uncompressedSize, mode, mtime: timeOf(entry), ...owner };
      if (entry.compressedSize <= SMALL && entry.uncompressedSize <= SMALL) await add(tar, header, await small(spool.fd, zip, entry, name));
      else await large(tar, header, zip, entry, name);
    }
    tar.finalize();
    await written;
  } catch (error) {
    tar.destroy();
    writer.destroy();
    throw ofThisNode(error);
  }
}

function timeOf(entry: Entry): Date {
  const time = entry.getLastModDate();
  return time.getTime() >= 0 ? time : new Date(0);
}

async function small(fd: number, zip: Zip, entry: Entry, name: string): Promise<Buffer> {
  try {
    const { fileDataStart } = await zip.readLocalFileHeaderPromise(entry, { minimal: true });
    const packed = Buffer.allocUnsafe(entry.compressedSize);
    const { bytesRead } = await readAt(fd, packed, 0, packed.length, fileDataStart);
    if (bytesRead < packed.length) throw new Error("unexpected end");
    const bytes = entry.compressionMethod === 0 ? packed : inflateRawSync(packed, { maxOutputLength: Math.max(1, entry.uncompressedSize) });
    if (bytes.length !== entry.uncompressedSize) throw new ArchiveFault(OTHER_SIZE);
    checkSum(entry, crc32(bytes));
    return bytes;
  } catch (error) {
    throw asFault(error, name);
  }
}

async function large(tar: Pack, header: Partial<Header> & { name: string }, zip: Zip, entry: Entry, name: string): Promise<void> {
  let sum = 0;
  let size = 0;
  const summed = new Transform({
    highWaterMark: CHUNK,
    transform(chunk: Buffer, _encoding, done) {
      sum = crc32(chunk, sum);
      size += chunk.length;
      done(size > entry.uncompressedSize ? new ArchiveFault(OTHER_SIZE) : null, chunk);
    },
  });
  try {
    const packed = await zip.openReadStreamPromise(entry, { decodeFileData: false });
    const unpacked = entry.compressionMethod === 0 ? [] : [createInflateRaw({ chunkSize: CHUNK })];
    await pipeline([packed, ...unpacked, summed, tar.entry(header) as unknown as Writable]);
    if (size < entry.uncompressedSize) throw new ArchiveFault(OTHER_SIZE);
    checkSum(entry, sum);
  } catch (error) {
    const typed = ofThisNode(error);
    throw typed === error ? asFault(error, name) : typed;
  }
}

function checkSum(entry: Entry, sum: number): void {
  if (sum !== entry.crc32) throw new ArchiveFault("has an entry whose bytes are not those that were packed");
}

function add(tar: Pack, header: Partial<Header> & { name: string }, bytes: Buffer = Buffer.alloc(0)): Promise<void> {
  return new Promise((resolve, reject) => tar.entry(header, bytes, (error) => (error ? reject(error) : resolve())));
}
