import { TAR_HEADER_BYTES } from "../archive/tar-read";
import type { Engine } from "../docker/engine";
import { invalidField } from "../errors";
import { pathInFolder, readContainerArchive } from "./container-archive";
import { ContainerPaths } from "./container-paths";

/** Limits of one listing: its entries, and the entries and bytes of the tar that are read to find them. */
const MAX_LISTED_ENTRIES = 10_000;
export const MAX_READ_ENTRIES = 100_000;
const MAX_READ_BYTES = 1_000_000_000;

const TYPES: Record<string, string> = { directory: "directory", symlink: "link", file: "file", link: "file", "contiguous-file": "file" };

/** Sent to clients as it is. */
export interface ListedEntry {
  name: string;
  /** file, directory, link or other */
  type: string;
  /** bytes; 0 for a further name (hard link) of a file */
  size: number;
  /** octal */
  mode: string;
  modified: string;
  /** of a link */
  target?: string;
}

/** Sent to clients as it is. */
export interface Listing {
  /** absolute, without links */
  path: string;
  entries: ListedEntry[];
  /** false if a limit was reached before the end of the folder */
  complete: boolean;
}

/**
 * Lists a folder of a container, running or not. The Engine API has no listing, only a tar of everything below the folder, sorted by
 * name: subfolders and contents are skipped, up to a limit.
 * @param path relative to /app, or absolute
 * @param clientSignal closes the tar: the engine locks the container while it sends one
 * @throws AppError FILE_NOT_FOUND, LEADS_OUT; 400 if it is not a folder
 */
export async function listFolder(engine: Engine, id: string, path: string, clientSignal: AbortSignal): Promise<Listing> {
  const found = await new ContainerPaths(engine, id).resolve(path);
  if (found.kind !== "folder") throw invalidField("path", "is no folder");
  const { entries, close } = await readContainerArchive(engine, id, found.path);
  clientSignal.addEventListener("abort", close, { once: true });
  const listed: ListedEntry[] = [];
  const listing = (complete: boolean) => ({ path: found.path, entries: listed, complete });
  let readEntries = 0;
  let readBytes = 0;
  try {
    for await (const entry of entries) {
      readEntries += 1;
      if (readEntries > MAX_READ_ENTRIES) return listing(false);
      const { name, type, size = 0, mode = 0, mtime, linkname } = entry.header;
      const pathBelow = pathInFolder(found.path, name);
      if (pathBelow !== "" && !pathBelow.includes("/")) {
        if (listed.length === MAX_LISTED_ENTRIES) return listing(false);
        listed.push({
          name: pathBelow,
          type: TYPES[type ?? ""] ?? "other",
          size,
          mode: (mode & 0o7777).toString(8).padStart(4, "0"),
          modified: (mtime ?? new Date(0)).toISOString(),
          ...(type === "symlink" ? { target: linkname ?? "" } : {}),
        });
      }
      readBytes += TAR_HEADER_BYTES + size;
      if (readBytes > MAX_READ_BYTES) return listing(false);
      entry.resume();
    }
    return listing(true);
  } finally {
    clientSignal.removeEventListener("abort", close);
    close();
  }
}
