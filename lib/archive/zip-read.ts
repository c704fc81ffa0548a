import { isUtf8 } from "node:buffer";
import type { Entry } from "yauzl";
import { lazyRequire } from "../support/lazy-require";
import { ArchiveFault, NameBudget, normalizeEntryName, parentFolders } from "./entry-names";
import { contentTooLarge, type Spool } from "./spool";

const loadYauzl = lazyRequire(() => require("yauzl") as typeof import("yauzl"));

/** Entries that an archive may have. */
export const MAX_ZIP_ENTRIES = 100_000;
/** An archive that unpacks to more than this (bytes) may not do so to more than so many times its own size. */
const UNSUSPICIOUS = 100_000_000;
const MOST_RATIO = 200;
/** bytes */
export const LOCAL_HEADER_BYTES = 30;

export const STORED = 0;
export const DEFLATED = 8;
/** st_mode of Unix, in the upper half of the attributes. */
const KIND = 0o170000;
const REGULAR = 0o100000;
const FOLDER = 0o040000;

/** A file or a folder of a zip archive, found in order. */
export interface ZipEntry {
  /** below the archive's root */
  name: string;
  isFolder: boolean;
  isExecutable: boolean;
  entry: Entry;
}

/**
 * Reads what a zip archive says of its entries, one by one.
 * @throws ArchiveFault for what can't be read or is not to be unpacked
 */
export async function* zipEntries(zip: Awaited<ReturnType<typeof openZip>>): AsyncGenerator<ZipEntry> {
  let last: string | undefined;
  try {
    for await (const entry of zip.eachEntry()) {
      last = entry.fileNameRaw.toString();
      yield checkedEntry(entry);
    }
  } catch (error) {
    throw asFault(error, last);
  }
}

/** @throws ArchiveFault if it is none, or has too many entries */
export async function openZip(spool: Spool) {
  // Names and sizes are judged here, so that the entry at fault is known; a name that isn't UTF-8 is refused rather than guessed at.
  const options = { decodeStrings: false, validateEntrySizes: false, autoClose: false };
  const { fromRandomAccessReaderPromise, RandomAccessReader } = loadYauzl();
  // By itself it would go to the disk several times an entry.
  class Blocks extends RandomAccessReader {
    override read(buffer: Buffer, offset: number, length: number, position: number, done: (error: Error | null, read?: number) => void) {
      spool.readAt(buffer.subarray(offset, offset + length), position).then((read) => done(null, read), done);
    }
  }
  const zip = await fromRandomAccessReaderPromise(new Blocks(), spool.size, options).catch((error) => {
    throw asFault(error, undefined);
  });
  if (zip.entryCount > MAX_ZIP_ENTRIES) throw new ArchiveFault(`has more than ${MAX_ZIP_ENTRIES} entries`);
  return zip;
}

/** A library's error as what is wrong with the archive, unless the disk is at fault. */
export function asFault(error: unknown, entry: string | undefined): unknown {
  if (error instanceof Error && "syscall" in error) return error;
  if (error instanceof ArchiveFault) return error.entry === undefined ? new ArchiveFault(error.message, entry) : error;
  return new ArchiveFault(`can't be read as a zip archive: ${(error as Error).message}`, entry);
}

function checkedEntry(entry: Entry): ZipEntry {
  const { fileNameRaw } = entry;
  const shown = fileNameRaw.toString();
  if (!isUtf8(fileNameRaw)) throw new ArchiveFault("has a name that isn't UTF-8", shown);
  if (shown.includes("\\")) throw new ArchiveFault("has a name with a backslash", shown);
  if (/^[A-Za-z]:/.test(shown)) throw new ArchiveFault("has a name with a drive letter", shown);
  const name = normalizeEntryName(shown);
  const folder = shown.endsWith("/");
  if (name === "" && !folder) throw new ArchiveFault("has a root that is no folder", shown);
  const mode = entry.externalFileAttributes >>> 16;
  const kind = mode & KIND;
  if (kind !== 0 && kind !== (folder ? FOLDER : REGULAR)) throw new ArchiveFault("has an entry that is neither a file nor a folder", shown);
  if (entry.isEncrypted()) throw new ArchiveFault("has an encrypted entry", shown);
  if (entry.compressionMethod !== STORED && entry.compressionMethod !== DEFLATED)
    throw new ArchiveFault(`has an entry packed by method ${entry.compressionMethod}, which is not known here`, shown);
  if (entry.compressionMethod === STORED && entry.compressedSize !== entry.uncompressedSize)
    throw new ArchiveFault("has an entry whose sizes don't fit", shown);
  if (folder && entry.uncompressedSize > 0) throw new ArchiveFault("has a folder with content", shown);
  return { name, isFolder: folder, isExecutable: (mode & 0o111) !== 0, entry };
}

/** Of a bomb, that is. */
export const isZipBomb = (unpacked: number, packed: number) => unpacked > UNSUSPICIOUS && unpacked > packed * MOST_RATIO;

/** What an archive holds. */
export interface ZipSummary {
  files: number;
  /** all, also those that only the names of others tell of; parents first */
  folders: string[];
  /** unpacked */
  bytes: number;
}

/**
 * Checks all that a zip archive says of itself: names, kinds, number, sizes, and that no two entries share their bytes.
 * @param limit bytes that it may unpack to
 * @throws ArchiveFault; AppError CONTENT_TOO_LARGE
 */
export async function checkZipDirectory(spool: Spool, limit: number): Promise<ZipSummary> {
  const names = new ZipNames();
  const ranges: { name: string; from: number; to: number }[] = [];
  let bytes = 0;
  for await (const { name, isFolder, entry } of zipEntries(await openZip(spool))) {
    names.add(name, isFolder);
    const from = entry.relativeOffsetOfLocalHeader;
    ranges.push({ name, from, to: from + LOCAL_HEADER_BYTES + entry.compressedSize });
    bytes += entry.uncompressedSize;
    if (isZipBomb(bytes, spool.size)) throw new ArchiveFault(`unpacks to more than ${MOST_RATIO} times its size`, name);
  }
  ranges.sort((a, b) => a.from - b.from);
  ranges.reduce(
    (before, range) => {
      if (range.from < before.to) throw new ArchiveFault("has entries that share their bytes", range.name);
      return range;
    },
    { name: "", from: 0, to: 0 },
  );
  if (bytes > limit) throw contentTooLarge(limit);
  return { files: names.files.size, folders: [...names.folders].sort(), bytes };
}

class ZipNames {
  readonly files = new Set<string>();
  readonly folders = new Set<string>();
  private readonly explicit = new Set<string>();
  private readonly folded = new Map<string, string>();
  private readonly length = new NameBudget();

  /** @throws ArchiveFault if it is there twice, or differs from another only by case */
  add(name: string, folder: boolean): void {
    if (this.explicit.has(name)) throw new ArchiveFault("has a name twice", name);
    this.explicit.add(name);
    for (const parent of parentFolders(name)) {
      if (this.folders.has(parent)) break;
      this.place(parent, true, name);
    }
    if (name !== "") this.place(name, folder, name);
  }

  private place(name: string, folder: boolean, entry: string): void {
    if (folder ? this.files.has(name) : this.folders.has(name)) throw new ArchiveFault("has a file and a folder of one name", entry);
    const known = folder ? this.folders : this.files;
    if (known.has(name)) return;
    this.length.add(name, entry);
    const same = name.normalize("NFC").toLowerCase();
    const other = this.folded.get(same);
    if (other !== undefined) throw new ArchiveFault(`has names that differ only by case, the other is ${other}`, entry);
    this.folded.set(same, name);
    known.add(name);
  }
}
