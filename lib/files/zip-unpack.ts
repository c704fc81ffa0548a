import { pipeline } from "node:stream";
import { crc32, createInflateRaw, inflateRawSync } from "node:zlib";
import type { Entry } from "yauzl";
import { ArchiveFault } from "../support/archive-names";
import { CHUNK, type Spool } from "./spool";
import { asFault, openZip, zipEntries } from "./zip-file";

/** Up to this size (bytes), packed and unpacked, an entry is read in one piece: streams cost more than they save. */
const SMALL = 65_536;
const STORED = 0;

const OTHER_SIZE = "has an entry of another size than it says";

type Zip = Awaited<ReturnType<typeof openZip>>;

/** A file of a zip archive. */
export interface UnpackedFile {
  /** below the archive's root */
  name: string;
  executable: boolean;
  modified: Date;
  /** bytes */
  size: number;
  /** All of a small one; else to be read to its end before the next file is asked for. It throws ArchiveFault as `unpackedFiles` does. */
  content: Buffer | AsyncGenerator<Buffer>;
}

/**
 * Unpacks the files of a checked zip archive, and checks every byte of them on the way.
 * @throws ArchiveFault for what can't be read, or is not what the archive says
 */
export async function* unpackedFiles(spool: Spool): AsyncGenerator<UnpackedFile> {
  const zip = await openZip(spool);
  for await (const { name, folder, executable, entry } of zipEntries(zip)) {
    if (folder) continue;
    const isSmall = entry.compressedSize <= SMALL && entry.uncompressedSize <= SMALL;
    const content = isSmall ? await small(spool, zip, entry, name) : large(spool, zip, entry, name);
    yield { name, executable, modified: timeOf(entry), size: entry.uncompressedSize, content };
  }
}

/**
 * Unpacks all of a checked zip archive to nowhere.
 * @throws ArchiveFault if anything in it is not what it says
 */
export async function checkContent(spool: Spool): Promise<void> {
  for await (const { content } of unpackedFiles(spool)) {
    if (!Buffer.isBuffer(content)) for await (const _ of content);
  }
}

function timeOf(entry: Entry): Date {
  const time = entry.getLastModDate();
  return time.getTime() >= 0 ? time : new Date(0);
}

async function small(spool: Spool, zip: Zip, entry: Entry, name: string): Promise<Buffer> {
  const { compressedSize, uncompressedSize } = entry;
  try {
    const { fileDataStart } = await zip.readLocalFileHeaderPromise(entry, { minimal: true });
    const packed = Buffer.allocUnsafe(compressedSize);
    if ((await spool.read(packed, fileDataStart)) < compressedSize) throw new Error("unexpected end");
    const stored = entry.compressionMethod === STORED;
    const bytes = stored ? packed : inflateRawSync(packed, { maxOutputLength: Math.max(1, uncompressedSize) });
    if (bytes.length !== uncompressedSize) throw new ArchiveFault(OTHER_SIZE);
    checkSum(entry, crc32(bytes));
    return bytes;
  } catch (error) {
    throw asFault(error, name);
  }
}

async function* large(spool: Spool, zip: Zip, entry: Entry, name: string): AsyncGenerator<Buffer> {
  const { compressedSize, uncompressedSize } = entry;
  let sum = 0;
  let size = 0;
  try {
    const { fileDataStart: start } = await zip.readLocalFileHeaderPromise(entry, { minimal: true });
    const packed = spool.reader(start, start + compressedSize - 1);
    const stored = entry.compressionMethod === STORED;
    // What goes wrong with the one is told to whoever reads the other.
    const bytes = stored ? packed : pipeline(packed, createInflateRaw({ chunkSize: CHUNK }), () => undefined);
    for await (const chunk of bytes as AsyncIterable<Buffer>) {
      sum = crc32(chunk, sum);
      size += chunk.length;
      if (size > uncompressedSize) throw new ArchiveFault(OTHER_SIZE);
      yield chunk;
    }
    if (size < uncompressedSize) throw new ArchiveFault(OTHER_SIZE);
    checkSum(entry, sum);
  } catch (error) {
    throw asFault(error, name);
  }
}

function checkSum(entry: Entry, sum: number): void {
  if (sum !== entry.crc32) throw new ArchiveFault("has an entry whose bytes are not those that were packed");
}
