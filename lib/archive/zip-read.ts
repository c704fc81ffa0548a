import { isUtf8 } from "node:buffer";
import type { Entry } from "yauzl";
import { lazyRequire } from "../support/lazy-require";
import { ArchiveFault, toArchiveFault } from "./archive-fault";
import { normalizeEntryName } from "./entry-names";
import { checkEntryCount, MAX_ZIP_ENTRIES } from "./limits";
import type { Spool } from "./spool";

/** Size of a local file header without name and extra field (APPNOTE.TXT, 4.3.7). */
export const LOCAL_HEADER_BYTES = 30;

/** Compression methods (APPNOTE.TXT, 4.4.5). */
export const STORED = 0;
export const DEFLATED = 8;

/** File types in Unix' st_mode, which is the upper half of the external attributes. */
const TYPE_MASK = 0o170000;
const REGULAR_FILE = 0o100000;
const DIRECTORY = 0o040000;

const UNREADABLE = "can't be read as a zip archive (was it sent unchanged, as by curl's --data-binary?)";

const loadYauzl = lazyRequire(() => require("yauzl") as typeof import("yauzl"));

/** An entry of a zip archive's directory whose fields are valid. */
export interface ZipEntry {
  /** below the archive's root */
  name: string;
  isFolder: boolean;
  isExecutable: boolean;
  entry: Entry;
}

/**
 * Reads the directory of a zip archive, entry by entry.
 * @throws ArchiveFault for an unreadable directory or an entry that is refused
 */
export async function* zipEntries(zip: Awaited<ReturnType<typeof openZip>>): AsyncGenerator<ZipEntry> {
  let lastName: string | undefined;
  try {
    for await (const entry of zip.eachEntry()) {
      lastName = entry.fileNameRaw.toString();
      yield validateEntry(entry);
    }
  } catch (error) {
    throw toZipFault(error, lastName);
  }
}

/** @throws ArchiveFault if it is no zip archive, or has too many entries */
export async function openZip(spool: Spool) {
  // Names and sizes are validated here, so that errors name the entry. Names that aren't UTF-8 are refused, not guessed.
  const options = { decodeStrings: false, validateEntrySizes: false, autoClose: false };
  const { fromRandomAccessReaderPromise, RandomAccessReader } = loadYauzl();
  // yauzl's own file reader reads from the disk several times an entry; the spool caches blocks.
  class SpoolReader extends RandomAccessReader {
    override read(buffer: Buffer, offset: number, length: number, position: number, done: (error: Error | null, read?: number) => void) {
      spool.readAt(buffer.subarray(offset, offset + length), position).then((read) => done(null, read), done);
    }
  }
  const zip = await fromRandomAccessReaderPromise(new SpoolReader(), spool.size, options).catch((error) => {
    throw toZipFault(error, undefined);
  });
  checkEntryCount(zip.entryCount, MAX_ZIP_ENTRIES);
  return zip;
}

/** @param entry name of the entry that was being read */
export function toZipFault(error: unknown, entry: string | undefined): Error {
  return toArchiveFault(error, UNREADABLE, entry);
}

function validateEntry(entry: Entry): ZipEntry {
  const { fileNameRaw } = entry;
  const shownName = fileNameRaw.toString();
  if (!isUtf8(fileNameRaw)) throw new ArchiveFault("has a name that isn't UTF-8", shownName);
  if (shownName.includes("\\")) throw new ArchiveFault("has a name with a backslash", shownName);
  if (/^[A-Za-z]:/.test(shownName)) throw new ArchiveFault("has a name with a drive letter", shownName);
  const name = normalizeEntryName(shownName);
  const isFolder = shownName.endsWith("/");
  if (name === "" && !isFolder) throw new ArchiveFault("has a root that is no folder", shownName);
  const mode = entry.externalFileAttributes >>> 16;
  const type = mode & TYPE_MASK;
  if (type !== 0 && type !== (isFolder ? DIRECTORY : REGULAR_FILE))
    throw new ArchiveFault("has an entry that is neither a file nor a folder", shownName);
  if (entry.isEncrypted()) throw new ArchiveFault("has an encrypted entry", shownName);
  if (entry.compressionMethod !== STORED && entry.compressionMethod !== DEFLATED)
    throw new ArchiveFault(`has an entry packed by method ${entry.compressionMethod}, which is not known here`, shownName);
  if (entry.compressionMethod === STORED && entry.compressedSize !== entry.uncompressedSize)
    throw new ArchiveFault("has an entry whose sizes don't fit", shownName);
  if (isFolder && entry.uncompressedSize > 0) throw new ArchiveFault("has a folder with content", shownName);
  return { name, isFolder, isExecutable: (mode & 0o111) !== 0, entry };
}
