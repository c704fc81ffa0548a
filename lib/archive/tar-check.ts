import { Readable, Transform } from "node:stream";
import { createGunzip } from "node:zlib";
import { type Extract, extract, type Header } from "tar-stream";
import { ArchiveFault, ArchiveLinks, insideName } from "./entry-names";

/** Entries that an archive may have. */
export const MOST_ENTRIES = 50_000;

type Body = Extract extends AsyncIterable<infer Source> ? Source : never;

export interface ArchiveEntry {
  type: "file" | "directory" | "symlink" | "link";
  /** below the archive's root; empty for the root itself */
  name: string;
  /** of a link */
  target: string;
  header: Header;
  body: Body;
}

const TYPES: Record<string, ArchiveEntry["type"]> = {
  file: "file",
  "contiguous-file": "file",
  directory: "directory",
  symlink: "symlink",
  link: "link",
};

/**
 * Reads a gzipped tar entry by entry; each body must be read or resumed before the next.
 * @param limit bytes that it may unpack to
 * @throws ArchiveFault for what can't be read or is not to be unpacked
 */
export async function* readArchive(bytes: Buffer, limit: number): AsyncGenerator<ArchiveEntry> {
  if (bytes[0] !== 0x1f || bytes[1] !== 0x8b) throw new ArchiveFault("is not a gzipped tar");
  const entries = unpack(bytes, limit);
  let count = 0;
  let last: string | undefined;
  try {
    for await (const body of entries) {
      const { header } = body;
      last = header.name;
      count += 1;
      if (count > MOST_ENTRIES) throw new ArchiveFault(`has more than ${MOST_ENTRIES} entries`);
      const type = TYPES[header.type ?? ""];
      if (!type) throw new ArchiveFault(`has an entry of the kind ${header.type}, which is refused`, header.name);
      yield { type, name: insideName(header.name), target: header.linkname ?? "", header, body };
    }
  } catch (error) {
    throw asFault(error, last);
  } finally {
    entries.destroy();
  }
}

function asFault(error: unknown, entry: string | undefined): ArchiveFault {
  if (error instanceof ArchiveFault) return new ArchiveFault(error.message, error.entry ?? entry);
  return new ArchiveFault(`can't be read to its end as a gzipped tar: ${(error as Error).message}`, entry);
}

function unpack(bytes: Buffer, limit: number) {
  let unpacked = 0;
  const bounded = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      unpacked += chunk.length;
      done(unpacked > limit ? new ArchiveFault(`unpacks to more than ${limit} bytes`) : null, chunk);
    },
  });
  const steps = [Readable.from([bytes]), createGunzip(), bounded] as const;
  const entries = extract();
  for (const step of steps) step.on("error", (error) => entries.destroy(error));
  entries.on("error", () => undefined); // whoever iterates gets it
  entries.on("close", () => steps.map((step) => step.destroy()));
  steps[0].pipe(steps[1]).pipe(steps[2]).pipe(entries);
  return entries;
}

/**
 * Checks a gzipped tar to its end: paths, links, kinds, number and size.
 * @throws ArchiveFault
 */
export async function checkArchive(bytes: Buffer, limit: number): Promise<void> {
  const links = new ArchiveLinks();
  for await (const { type, name, target, body } of readArchive(bytes, limit)) {
    links.add(type, name, target);
    try {
      for await (const _ of body); // its end must be there
    } catch (error) {
      throw asFault(error, name);
    }
  }
  links.check();
}
