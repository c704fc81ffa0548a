import type { Engine } from "../docker/engine";
import { invalidField } from "../errors";
import { nameIn, readArchive } from "./container-archive";
import { Places } from "./container-paths";

/** Entries of one folder that are listed, and bytes that are read to find them. */
const MOST_LISTED = 10_000;
const MOST_READ = 1_000_000_000;
/** Of a tar (bytes). */
const HEADER = 512;

const TYPES: Record<string, string> = { directory: "directory", symlink: "link", file: "file", link: "file", "contiguous-file": "file" };

export interface Listed {
  name: string;
  /** file, directory, link or other */
  type: string;
  /** bytes; of a file's second name 0 */
  size: number;
  /** octal */
  mode: string;
  modified: string;
  /** of a link */
  target?: string;
}

export interface Listing {
  /** absolute, without links */
  path: string;
  entries: Listed[];
  /** false: the folder holds more than was looked at */
  complete: boolean;
}

/**
 * What is in a folder of a container, running or not. The engine has no way to tell but to send the whole tree below it, contents
 * included, in the order of names: they are read past, up to a bound.
 * @param path relative to /app, or absolute
 * @param gone ends it: the container can't be told anything meanwhile
 * @throws AppError FILE_NOT_FOUND, LEADS_OUT; 400 for what is no folder
 */
export async function listFolder(engine: Engine, id: string, path: string, gone: AbortSignal): Promise<Listing> {
  const found = await new Places(engine, id).find(path);
  if (found.kind !== "folder") throw invalidField("path", "is no folder");
  const { entries, end } = await readArchive(engine, id, found.path);
  gone.addEventListener("abort", end, { once: true });
  const listed: Listed[] = [];
  const answer = (complete: boolean) => ({ path: found.path, entries: listed, complete });
  let read = 0;
  try {
    for await (const entry of entries) {
      const { name, type, size = 0, mode = 0, mtime, linkname } = entry.header;
      const own = nameIn(found.path, name);
      if (own !== "" && !own.includes("/")) {
        if (listed.length === MOST_LISTED) return answer(false);
        listed.push({
          name: own,
          type: TYPES[type ?? ""] ?? "other",
          size,
          mode: (mode & 0o7777).toString(8).padStart(4, "0"),
          modified: (mtime ?? new Date(0)).toISOString(),
          ...(type === "symlink" ? { target: linkname ?? "" } : {}),
        });
      }
      read += HEADER + size;
      if (read > MOST_READ) return answer(false);
      entry.resume();
    }
    return answer(true);
  } finally {
    gone.removeEventListener("abort", end);
    end();
  }
}
