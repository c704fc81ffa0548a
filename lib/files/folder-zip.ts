import { addAbortSignal, Readable } from "node:stream";
import { finished } from "node:stream/promises";
import { normalizeEntryName } from "../archive/entry-names";
import { MAX_ZIP_ENTRIES } from "../archive/limits";
import type { DiskBudget } from "../archive/read-ahead";
import type { TarStreamEntry } from "../archive/tar-read";
import type { Engine } from "../docker/engine";
import { AppError, invalidField } from "../errors";
import { lazyRequire } from "../support/lazy-require";
import { pathInFolder, readContainerArchive } from "./container-archive";
import { ContainerPaths } from "./container-paths";
import { openFile } from "./download";

/** zlib's fastest: the client's network is usually the bottleneck, and the node's processors have other work. */
const COMPRESSION_LEVEL = 1;
/** The zip format allows 65,535. */
const MAX_COMMENT_BYTES = 60_000;
/** Unix' st_mode of a directory and of a regular file, without permissions. */
const DIRECTORY = 0o040000;
const REGULAR_FILE = 0o100000;

const loadYazl = lazyRequire(() => require("yazl") as typeof import("yazl"));

/** A zip archive that is written while it is read. */
export interface ZipDownload {
  /** suggested file name */
  name: string;
  bytes: AsyncGenerator<Buffer>;
}

interface ZipEntryOptions {
  mtime?: Date;
  mode: number;
  compressionLevel: number;
}

/**
 * Zips a folder of a container, or a single file. Symbolic links, special files and names that are not valid in a zip are omitted;
 * the archive's comment lists them.
 * @param path relative to /app, or absolute
 * @param disk for what is not read yet
 * @throws AppError FILE_NOT_FOUND, LEADS_OUT; 400 for a special file
 */
export async function zipFolder(engine: Engine, id: string, path: string, disk: DiskBudget): Promise<ZipDownload> {
  const found = await new ContainerPaths(engine, id).resolve(path);
  if (found.kind === "other") throw invalidField("path", "is neither a file nor a folder");
  const lastPart = found.path.slice(found.path.lastIndexOf("/") + 1);
  const archive = await readContainerArchive(engine, id, found.path, disk);
  const { ZipFile } = loadYazl();
  const zip = new ZipFile();
  const output = zip.outputStream as NodeJS.ReadableStream & { destroy(error?: Error): void; destroyed: boolean };
  const root = found.kind === "folder" ? found.path : "";
  /** further names of files that have several */
  const hardLinks: { name: string; options: ZipEntryOptions }[] = [];
  const closing = new AbortController();
  async function addEntries(): Promise<void> {
    const omitted = new OmittedNames();
    let count = 0;
    for await (const entry of archive.entries) {
      count += 1;
      if (count > MAX_ZIP_ENTRIES) throw new AppError("CONTENT_TOO_LARGE", { message: `More than ${MAX_ZIP_ENTRIES} entries` });
      const name = root === "" ? lastPart : pathInFolder(root, entry.header.name);
      await addEntry(name, entry, omitted);
    }
    // Only now: the engine locks a container during an archive request.
    for (const { name, options } of hardLinks) await addHardLink(name, options);
    // As bytes: yazl converts strings to CP437, which has no line breaks.
    zip.end({ forceZip64Format: false, comment: Buffer.from(omitted.comment()) as never });
  }
  async function addEntry(name: string, entry: TarStreamEntry, omitted: OmittedNames): Promise<void> {
    const { type, mtime, mode, size } = entry.header;
    const time = mtime ? { mtime } : {};
    const permissions = (mode ?? 0) & 0o777;
    const fileOptions = { ...time, mode: REGULAR_FILE | permissions, compressionLevel: COMPRESSION_LEVEL };
    if (name !== "" && !isValidZipName(name)) omitted.add(name);
    else if (type === "directory") {
      if (name !== "") zip.addEmptyDirectory(name, { ...time, mode: DIRECTORY | permissions });
    } else if (type === "file" || type === "contiguous-file") {
      zip.addReadStream(entry as never, name, { ...fileOptions, size: size ?? 0 });
      return finished(entry as never, { writable: false });
    } else if (type === "link") hardLinks.push({ name, options: fileOptions });
    else omitted.add(name);
    entry.resume();
  }
  /** The engine's tar has the bytes of a file only at its first name, so the file is read again. */
  async function addHardLink(name: string, options: ZipEntryOptions): Promise<void> {
    const file = await openFile(engine, id, `${root === "/" ? "" : root}/${name}`, disk);
    try {
      const bytes = addAbortSignal(closing.signal, Readable.from(file.bytes(0, file.size - 1)));
      zip.addReadStream(bytes, name, { ...options, size: file.size });
      await finished(bytes);
    } finally {
      file.close();
    }
  }
  async function* bytes(): AsyncGenerator<Buffer> {
    zip.on("error", (error: Error) => output.destroy(error));
    addEntries().catch((error: Error) => output.destroy(error));
    try {
      for await (const chunk of output) yield chunk as Buffer;
    } finally {
      closing.abort();
      archive.close();
      output.destroy();
    }
  }
  return { name: `${lastPart || "files"}.zip`, bytes: bytes() };
}

/** Some unpackers would write these names outside of their folder (backslash, drive letter, ".."). */
function isValidZipName(name: string): boolean {
  if (name.includes("\\") || /^[A-Za-z]:/.test(name)) return false;
  try {
    return normalizeEntryName(name) === name;
  } catch {
    return false;
  }
}

class OmittedNames {
  private readonly names: string[] = [];
  private length = 0;
  private unlistedCount = 0;

  add(name: string): void {
    const ascii = name.replace(/[^\x20-\x7e]/g, "?");
    if (this.length + ascii.length > MAX_COMMENT_BYTES) this.unlistedCount += 1;
    else this.names.push(ascii);
    this.length += ascii.length + 1;
  }

  comment(): string {
    if (this.names.length === 0) return "";
    const unlisted = this.unlistedCount > 0 ? `\nand ${this.unlistedCount} more` : "";
    return `Left out (links, and what has no name for a zip):\n${this.names.join("\n")}${unlisted}`;
  }
}
