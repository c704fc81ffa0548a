import { Readable, Transform } from "node:stream";
import { createGunzip } from "node:zlib";
import { type Extract, extract, type Header } from "tar-stream";
import { ArchiveFault, toArchiveFault } from "./archive-fault";
import { ArchiveLinks, normalizeEntryName } from "./entry-names";
import { checkEntryCount, MAX_TAR_ENTRIES } from "./limits";

/** An entry as tar-stream gives it: its header, and its body as a stream. */
export type TarStreamEntry = Extract extends AsyncIterable<infer Entry> ? Entry : never;

/** The block before each entry of a tar (bytes). */
export const TAR_HEADER_BYTES = 512;

export interface CheckedTarEntry {
  type: "file" | "directory" | "symlink" | "link";
  /** below the archive's root; empty for the root itself */
  name: string;
  /** of a link */
  target: string;
  /** with the owner of the pax records */
  header: Header;
  body: TarStreamEntry;
}

const TYPES: Record<string, CheckedTarEntry["type"]> = {
  file: "file",
  "contiguous-file": "file",
  directory: "directory",
  symlink: "symlink",
  link: "link",
};

const UNREADABLE = "can't be read to its end as a gzipped tar";

/**
 * Reads a gzipped tar entry by entry. Each body must be read or resumed before the next entry is asked for.
 * @param limit bytes that it may unpack to
 * @throws ArchiveFault for an unreadable archive or an entry that is refused
 */
export async function* readTarGz(bytes: Buffer, limit: number): AsyncGenerator<CheckedTarEntry> {
  if (bytes[0] !== 0x1f || bytes[1] !== 0x8b) throw new ArchiveFault("is not a gzipped tar");
  const entries = unpackTarGz(bytes, limit);
  let count = 0;
  let lastName: string | undefined;
  try {
    for await (const body of entries) {
      const { header } = body;
      lastName = header.name;
      count += 1;
      checkEntryCount(count, MAX_TAR_ENTRIES);
      const type = TYPES[header.type ?? ""];
      // What stands for such a file is a map of its holes and other bytes than it has.
      if (Object.keys(paxOf(header)).some((key) => key.startsWith("GNU.sparse.")))
        throw new ArchiveFault(
          "has a sparse file, which is refused: pack it without --sparse",
          paxOf(header)["GNU.sparse.name"] ?? header.name,
        );
      if (!type) throw new ArchiveFault(`has an entry of ${describeKind(header.type)}, which is refused`, header.name);
      const owned = { ...header, ...ownerOf(header) };
      yield { type, name: normalizeEntryName(header.name), target: header.linkname ?? "", header: owned, body };
    }
  } catch (error) {
    throw toArchiveFault(error, UNREADABLE, lastName);
  } finally {
    entries.destroy();
  }
}

const describeKind = (kind: string | null | undefined) => (kind ? `the kind ${kind}` : "an unknown kind");

/** The largest id of a user or group in Linux. */
const MAX_OWNER_ID = 2 ** 32 - 2;

/**
 * The owner of an entry. Ids that a header's octal digits can't hold are in pax records, which tar-stream leaves to its users.
 * @throws ArchiveFault for what is no id
 */
export function ownerOf(header: Header): { uid: number; gid: number } {
  const { name, uid, gid } = header;
  const pax = paxOf(header);
  const owner = { uid: idOf(pax.uid, uid), gid: idOf(pax.gid, gid) };
  const isId = (id: number) => Number.isInteger(id) && id >= 0 && id <= MAX_OWNER_ID;
  if (!isId(owner.uid) || !isId(owner.gid)) throw new ArchiveFault(`has an owner that is no number up to ${MAX_OWNER_ID}`, name);
  return owner;
}

const paxOf = ({ pax }: Header) => (pax ?? {}) as Record<string, string>;

const idOf = (record: string | undefined, id: number | undefined) =>
  record === undefined ? (id ?? 0) : /^\d+$/.test(record) ? Number(record) : Number.NaN;

function unpackTarGz(bytes: Buffer, limit: number): Extract {
  let unpackedBytes = 0;
  const limiter = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      unpackedBytes += chunk.length;
      done(unpackedBytes > limit ? new ArchiveFault(`unpacks to more than ${limit} bytes`) : null, chunk);
    },
  });
  const stages = [Readable.from([bytes]), createGunzip(), limiter] as const;
  const entries = extract();
  for (const stage of stages) stage.on("error", (error) => entries.destroy(error));
  entries.on("error", () => undefined); // the iteration throws it
  entries.on("close", () => stages.map((stage) => stage.destroy()));
  stages[0].pipe(stages[1]).pipe(stages[2]).pipe(entries);
  return entries;
}

/**
 * Checks a whole gzipped tar: names, links, types, number of entries and size.
 * @param limit bytes that it may unpack to
 * @throws ArchiveFault
 */
export async function checkTarGz(bytes: Buffer, limit: number): Promise<void> {
  const links = new ArchiveLinks();
  for await (const { type, name, target, body } of readTarGz(bytes, limit)) {
    links.add(type, name, target);
    try {
      for await (const _ of body); // a truncated body throws
    } catch (error) {
      throw toArchiveFault(error, UNREADABLE, name);
    }
  }
  links.check();
}
