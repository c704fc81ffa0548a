import { pipeline } from "node:stream";
import { crc32, createInflateRaw, inflateRawSync } from "node:zlib";
import type { Entry } from "yauzl";
import { ArchiveFault } from "./archive-fault";
import { CHUNK_BYTES, type Spool } from "./spool";
import { openZip, STORED, toZipFault, zipEntries } from "./zip-read";

/** An entry up to this size, packed and unpacked, is read in one piece: streams cost more than they save. */
const SMALL_ENTRY_BYTES = 65_536;

const SIZE_MISMATCH = "has an entry of another size than it says";

type Zip = Awaited<ReturnType<typeof openZip>>;

/** The fields of an entry that describe its content. */
export type PackedEntry = Pick<Entry, "compressionMethod" | "compressedSize" | "uncompressedSize" | "crc32">;

export interface UnpackedFile {
  entry: Entry;
  /** below the archive's root */
  name: string;
  isExecutable: boolean;
  modifiedAt: Date;
  /** A small file's bytes; else a stream to be read to its end before the next file is asked for, which throws like `unpackFiles`. */
  content: Buffer | AsyncGenerator<Buffer>;
}

/**
 * Unpacks the files of a zip archive whose directory is checked.
 * @throws ArchiveFault for an unreadable entry, or one whose size differs from the directory
 */
export async function* unpackFiles(spool: Spool): AsyncGenerator<UnpackedFile> {
  const zip = await openZip(spool);
  for await (const { name, isFolder, isExecutable, entry } of zipEntries(zip)) {
    if (isFolder) continue;
    const content = isSmallEntry(entry) ? await readSmallEntry(spool, zip, entry, name) : streamLargeEntry(spool, zip, entry, name);
    yield { entry, name, isExecutable, modifiedAt: modificationTime(entry), content };
  }
}

/** The CRC-32 of a stream, which it reads to its end. */
export async function crc32Of(chunks: AsyncIterable<Buffer>): Promise<number> {
  let checksum = 0;
  for await (const chunk of chunks) checksum = crc32(chunk, checksum);
  return checksum;
}

export function isSmallEntry({ compressedSize, uncompressedSize }: PackedEntry): boolean {
  return compressedSize <= SMALL_ENTRY_BYTES && uncompressedSize <= SMALL_ENTRY_BYTES;
}

function modificationTime(entry: Entry): Date {
  const time = entry.getLastModDate();
  return time.getTime() >= 0 ? time : new Date(0);
}

async function readSmallEntry(spool: Spool, zip: Zip, entry: Entry, name: string): Promise<Buffer> {
  const { compressedSize, uncompressedSize } = entry;
  try {
    const { fileDataStart } = await zip.readLocalFileHeaderPromise(entry, { minimal: true });
    const packed = Buffer.allocUnsafe(compressedSize);
    if ((await spool.readAt(packed, fileDataStart)) < compressedSize) throw new Error("unexpected end");
    const isStored = entry.compressionMethod === STORED;
    const bytes = isStored ? packed : inflateRawSync(packed, { maxOutputLength: Math.max(1, uncompressedSize) });
    if (bytes.length !== uncompressedSize) throw new ArchiveFault(SIZE_MISMATCH);
    return bytes;
  } catch (error) {
    throw toZipFault(error, name);
  }
}

async function* streamLargeEntry(spool: Spool, zip: Zip, entry: Entry, name: string): AsyncGenerator<Buffer> {
  try {
    const { fileDataStart } = await zip.readLocalFileHeaderPromise(entry, { minimal: true });
    yield* unpackEntry(spool, fileDataStart, entry);
  } catch (error) {
    throw toZipFault(error, name);
  }
}

/**
 * @param start of the packed bytes in the archive
 * @throws Error for invalid data; ArchiveFault for another size
 */
export async function* unpackEntry(spool: Spool, start: number, packed: PackedEntry): AsyncGenerator<Buffer> {
  const { compressionMethod, compressedSize, uncompressedSize } = packed;
  const source = spool.createReadStream(start, start + compressedSize - 1);
  // The pipeline's callback is empty: its last stream throws the error in the loop below.
  const output = compressionMethod === STORED ? source : pipeline(source, createInflateRaw({ chunkSize: CHUNK_BYTES }), () => undefined);
  let size = 0;
  for await (const chunk of output as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > uncompressedSize) throw new ArchiveFault(SIZE_MISMATCH);
    yield chunk;
  }
  if (size < uncompressedSize) throw new ArchiveFault(SIZE_MISMATCH);
}
