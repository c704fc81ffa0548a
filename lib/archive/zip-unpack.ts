import { pipeline } from "node:stream";
import { crc32, createInflateRaw, inflateRawSync } from "node:zlib";
import type { Entry } from "yauzl";
import { ArchiveFault } from "./entry-names";
import { CHUNK, type Spool } from "./spool";
import { asFault, openZip, STORED, zipEntries } from "./zip-read";

/** Up to this size (bytes), packed and unpacked, an entry is read in one piece: streams cost more than they save. */
const SMALL = 65_536;

const OTHER_SIZE = "has an entry of another size than it says";

type Zip = Awaited<ReturnType<typeof openZip>>;

/** What an archive says of an entry's content. */
export type Packed = Pick<Entry, "compressionMethod" | "compressedSize" | "uncompressedSize" | "crc32">;

/** A file of a zip archive. */
export interface UnpackedFile {
  entry: Entry;
  /** below the archive's root */
  name: string;
  executable: boolean;
  modified: Date;
  /** All of a small one; else to be read to its end before the next file is asked for. It throws ArchiveFault as `unpackedFiles` does. */
  content: Buffer | AsyncGenerator<Buffer>;
}

/**
 * Unpacks the files of a zip archive whose names are checked.
 * @throws ArchiveFault for what can't be read, or is larger or smaller than the archive says
 */
export async function* unpackedFiles(spool: Spool): AsyncGenerator<UnpackedFile> {
  const zip = await openZip(spool);
  for await (const { name, folder, executable, entry } of zipEntries(zip)) {
    if (folder) continue;
    const content = isSmall(entry) ? await small(spool, zip, entry, name) : large(spool, zip, entry, name);
    yield { entry, name, executable, modified: timeOf(entry), content };
  }
}

/**
 * Unpacks all of a zip archive to nowhere.
 * @param isChecked of an entry's content: it need not be unpacked again
 * @throws ArchiveFault if anything in it is not what it says
 */
export async function checkContent(spool: Spool, isChecked: (entry: Entry) => boolean): Promise<void> {
  for await (const { entry, name, content } of unpackedFiles(spool)) {
    if (isChecked(entry)) continue;
    const sum = Buffer.isBuffer(content) ? crc32(content) : await sumOf(content);
    if (sum !== entry.crc32) throw new ArchiveFault("has an entry whose bytes are not those that were packed", name);
  }
}

/** Reads all that there is. */
export async function sumOf(chunks: AsyncIterable<Buffer>): Promise<number> {
  let sum = 0;
  for await (const chunk of chunks) sum = crc32(chunk, sum);
  return sum;
}

export const isSmall = ({ compressedSize, uncompressedSize }: Packed) => compressedSize <= SMALL && uncompressedSize <= SMALL;

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
    return bytes;
  } catch (error) {
    throw asFault(error, name);
  }
}

async function* large(spool: Spool, zip: Zip, entry: Entry, name: string): AsyncGenerator<Buffer> {
  try {
    const { fileDataStart } = await zip.readLocalFileHeaderPromise(entry, { minimal: true });
    yield* unpacked(spool, fileDataStart, entry);
  } catch (error) {
    throw asFault(error, name);
  }
}

/**
 * @param start of the packed bytes in the archive
 * @throws Error for what can't be unpacked, or has another size
 */
export async function* unpacked(spool: Spool, start: number, packed: Packed): AsyncGenerator<Buffer> {
  const { compressionMethod, compressedSize, uncompressedSize } = packed;
  const bytes = spool.reader(start, start + compressedSize - 1);
  // What goes wrong with the one is told to whoever reads the other.
  const out = compressionMethod === STORED ? bytes : pipeline(bytes, createInflateRaw({ chunkSize: CHUNK }), () => undefined);
  let size = 0;
  for await (const chunk of out as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > uncompressedSize) throw new ArchiveFault(OTHER_SIZE);
    yield chunk;
  }
  if (size < uncompressedSize) throw new ArchiveFault(OTHER_SIZE);
}
