import { crc32 } from "node:zlib";
import type { Entry } from "yauzl";
import { ArchiveFault } from "./archive-fault";
import { NameBudget, parentFolders } from "./entry-names";
import { contentTooLarge, isZipBomb, MAX_UNPACK_RATIO } from "./limits";
import type { Spool } from "./spool";
import { LOCAL_HEADER_BYTES, openZip, zipEntries } from "./zip-read";
import { crc32Of, unpackFiles } from "./zip-unpack";

export interface ZipSummary {
  /** number of files */
  files: number;
  /** all folders, including those that only appear in names of other entries; parents first */
  folders: string[];
  /** size after unpacking */
  bytes: number;
}

/**
 * Checks the directory of a zip archive: names, types, number and sizes of entries, and that no two entries share bytes.
 * @param limit bytes that it may unpack to
 * @throws ArchiveFault; AppError CONTENT_TOO_LARGE
 */
export async function checkZipDirectory(spool: Spool, limit: number): Promise<ZipSummary> {
  const names = new ZipNames();
  const ranges: { name: string; start: number; end: number }[] = [];
  let bytes = 0;
  for await (const { name, isFolder, entry } of zipEntries(await openZip(spool))) {
    names.add(name, isFolder);
    const start = entry.relativeOffsetOfLocalHeader;
    ranges.push({ name, start, end: start + LOCAL_HEADER_BYTES + entry.compressedSize });
    bytes += entry.uncompressedSize;
    if (isZipBomb(bytes, spool.size)) throw new ArchiveFault(`unpacks to more than ${MAX_UNPACK_RATIO} times its size`, name);
  }
  ranges.sort((a, b) => a.start - b.start);
  let previousEnd = 0;
  for (const { name, start, end } of ranges) {
    if (start < previousEnd) throw new ArchiveFault("has entries that share their bytes", name);
    previousEnd = end;
  }
  if (bytes > limit) throw contentTooLarge(limit);
  return { files: names.files.size, folders: [...names.folders].sort(), bytes };
}

/**
 * Unpacks a whole zip archive without writing it anywhere, to check sizes and checksums.
 * @param isChecked whether an entry's content has been checked before
 * @throws ArchiveFault
 */
export async function checkZipContent(spool: Spool, isChecked: (entry: Entry) => boolean): Promise<void> {
  for await (const { entry, name, content } of unpackFiles(spool)) {
    if (isChecked(entry)) continue;
    const checksum = Buffer.isBuffer(content) ? crc32(content) : await crc32Of(content);
    if (checksum !== entry.crc32) throw new ArchiveFault("has an entry whose bytes are not those that were packed", name);
  }
}

class ZipNames {
  readonly files = new Set<string>();
  readonly folders = new Set<string>();
  private readonly entryNames = new Set<string>();
  private readonly byFoldedName = new Map<string, string>();
  private readonly budget = new NameBudget();

  /** @throws ArchiveFault for a duplicate, or a name that differs from another only by case */
  add(name: string, isFolder: boolean): void {
    if (this.entryNames.has(name)) throw new ArchiveFault("has a name twice", name);
    this.entryNames.add(name);
    for (const parent of parentFolders(name)) {
      if (this.folders.has(parent)) break;
      this.addPath(parent, true, name);
    }
    if (name !== "") this.addPath(name, isFolder, name);
  }

  private addPath(path: string, isFolder: boolean, entry: string): void {
    if (isFolder ? this.files.has(path) : this.folders.has(path)) throw new ArchiveFault("has a file and a folder of one name", entry);
    const paths = isFolder ? this.folders : this.files;
    if (paths.has(path)) return;
    this.budget.add(path, entry);
    const folded = path.normalize("NFC").toLowerCase();
    const other = this.byFoldedName.get(folded);
    if (other !== undefined) throw new ArchiveFault(`has names that differ only by case, the other is ${other}`, entry);
    this.byFoldedName.set(folded, path);
    paths.add(path);
  }
}
