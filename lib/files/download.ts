import type { DiskBudget } from "../archive/read-ahead";
import type { TarStreamEntry } from "../archive/tar-read";
import type { Engine } from "../docker/engine";
import { AppError, invalidField } from "../errors";
import { readContainerArchive } from "./container-archive";
import { ContainerPaths } from "./container-paths";

/** A file of a container. */
export interface FoundFile {
  /** absolute, without links */
  path: string;
  name: string;
  /** bytes */
  size: number;
  modifiedAt: Date;
}

/**
 * Finds a file in a container.
 * @param path relative to /app, or absolute
 * @throws AppError FILE_NOT_FOUND, LEADS_OUT; 400 if it is not a file
 */
export async function findFile(engine: Engine, id: string, path: string): Promise<FoundFile> {
  const found = await new ContainerPaths(engine, id).resolve(path);
  if (found.kind === "folder")
    throw invalidField("path", "is a folder: /files (of the tools: list_files) lists it, and /download-zip gives all that is in it");
  if (found.kind === "other") throw invalidField("path", "is neither a file nor a folder");
  const name = found.path.slice(found.path.lastIndexOf("/") + 1);
  return { path: found.path, name, size: found.size, modifiedAt: found.modifiedAt };
}

/** An open file. It can have changed since it was found. */
export interface OpenFile {
  size: number;
  modifiedAt: Date;
  /** The bytes from `start` to `end`, both included. Read them to the end, or return the generator: both close the file. */
  bytes(start: number, end: number): AsyncGenerator<Buffer>;
  close(): void;
}

/**
 * @param path absolute, without links
 * @param disk for what is not read yet
 * @throws AppError FILE_NOT_FOUND if it no longer exists
 */
export async function openFile(engine: Engine, id: string, path: string, disk: DiskBudget): Promise<OpenFile> {
  const { entries, close } = await readContainerArchive(engine, id, path, disk);
  try {
    const { value: entry } = await entries[Symbol.asyncIterator]().next();
    if (entry?.header.type !== "file") throw new AppError("FILE_NOT_FOUND", { details: { path } });
    const { size = 0, mtime = new Date(0) } = entry.header;
    return { size, modifiedAt: mtime, bytes: (start, end) => byteRange(entry, start, end, close), close };
  } catch (error) {
    close();
    throw error;
  }
}

async function* byteRange(entry: TarStreamEntry, start: number, end: number, close: () => void): AsyncGenerator<Buffer> {
  let position = 0;
  try {
    if (end < start) return;
    for await (const chunk of entry as AsyncIterable<Buffer>) {
      const from = Math.max(0, start - position);
      const to = Math.min(chunk.length, end + 1 - position);
      if (from < to) yield chunk.subarray(from, to);
      position += chunk.length;
      if (position > end) return;
    }
  } finally {
    close();
  }
}
