import type { Engine } from "../docker/engine";
import { AppError, invalidField } from "../errors";
import { readArchive, type TarEntry } from "./container-archive";
import { Places } from "./container-paths";

/** A file of a container. */
export interface FileFound {
  /** absolute, without links */
  path: string;
  name: string;
  /** bytes */
  size: number;
  modified: Date;
}

/**
 * Finds a file in a container.
 * @param path relative to /app, or absolute
 * @throws AppError FILE_NOT_FOUND, LEADS_OUT; 400 for what is none
 */
export async function findFile(engine: Engine, id: string, path: string): Promise<FileFound> {
  const found = await new Places(engine, id).find(path);
  if (found.kind === "folder") throw invalidField("path", "is a folder: download-zip gives all that is in it");
  if (found.kind === "other") throw invalidField("path", "is neither a file nor a folder");
  const name = found.path.slice(found.path.lastIndexOf("/") + 1);
  return { path: found.path, name, size: found.size, modified: found.modified };
}

/** A file that has been opened: its size may have changed since it was found. */
export interface OpenFile {
  size: number;
  /** Its bytes from one to another, both included; to be read to its end, or else returned. */
  bytes(start: number, end: number): AsyncGenerator<Buffer>;
  end(): void;
}

/** @throws AppError FILE_NOT_FOUND if it is gone */
export async function openFile(engine: Engine, id: string, path: string): Promise<OpenFile> {
  const { entries, end } = await readArchive(engine, id, path);
  try {
    const { value: entry } = await entries[Symbol.asyncIterator]().next();
    if (entry?.header.type !== "file") throw new AppError("FILE_NOT_FOUND", { details: { path } });
    return { size: entry.header.size ?? 0, bytes: (from, to) => part(entry, from, to, end), end };
  } catch (error) {
    end();
    throw error;
  }
}

async function* part(entry: TarEntry, start: number, last: number, end: () => void): AsyncGenerator<Buffer> {
  let at = 0;
  try {
    if (last < start) return;
    for await (const chunk of entry as AsyncIterable<Buffer>) {
      const from = Math.max(0, start - at);
      const to = Math.min(chunk.length, last + 1 - at);
      if (from < to) yield chunk.subarray(from, to);
      at += chunk.length;
      if (at > last) return;
    }
  } finally {
    end();
  }
}
