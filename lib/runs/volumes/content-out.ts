import type { Readable } from "node:stream";
import { buffer } from "node:stream/consumers";
import { finished } from "node:stream/promises";
import { createGzip } from "node:zlib";
import { extract, type Pack, pack } from "tar-stream";

/** It is larger than it may be. */
export class TooMuchContent extends Error {}

/** bytes */
const HEADER = 512;

const KINDS = new Set(["file", "directory", "symlink", "link"]);

/**
 * Makes out of the engine's tar of one path what is answered: a file's bytes, or a gzipped tar of what is in a folder, by paths below it.
 * @param tar the engine's, in which all names begin with the path's own last part
 * @param limit bytes that it may unpack to
 * @throws TooMuchContent
 */
export async function contentOf(tar: Readable, limit: number): Promise<Buffer> {
  const entries = extract();
  tar.on("error", (error) => entries.destroy(error));
  tar.pipe(entries);
  let packed: Pack | undefined;
  let zipped: Promise<Buffer> | undefined;
  let size = 0;
  try {
    for await (const entry of entries) {
      const { name, type, linkname, size: length = 0 } = entry.header;
      // Each has a header of its own, also an empty one.
      size += length + HEADER;
      if (size > limit) throw new TooMuchContent();
      if (!packed && type !== "directory") return await buffer(entry);
      // What goes wrong is told by the entry that was being read: nobody else is to be surprised by it.
      packed ??= pack().on("error", () => undefined);
      if (!zipped) {
        zipped = buffer(packed.pipe(createGzip()));
        zipped.catch(() => undefined);
      }
      const inside = below(name);
      if (inside === "" || !KINDS.has(type ?? "")) {
        entry.resume();
        continue;
      }
      const header = { ...entry.header, name: inside, pax: null, ...(type === "link" ? { linkname: below(linkname ?? "") } : {}) };
      const sink = packed.entry(header as typeof entry.header);
      entry.pipe(sink);
      await finished(sink);
    }
    packed?.finalize();
    return (await zipped) ?? Buffer.alloc(0);
  } finally {
    tar.destroy();
    entries.destroy();
    packed?.destroy();
  }
}

/** Without the first part, which is the folder itself. */
function below(name: string): string {
  const plain = name.replace(/^(?:\.?\/)+/, "");
  const slash = plain.indexOf("/");
  return slash < 0 ? "" : plain.slice(slash + 1);
}
