import { Readable } from "node:stream";
import { finished } from "node:stream/promises";
import { type Header, type Pack, pack } from "tar-stream";
import { normalizeEntryName } from "./entry-names";
import { readTarGz } from "./tar-read";

/** A file or a folder to be written at a path of a container. */
export interface PathContent {
  /** absolute path in the container */
  path: string;
  mode: number | undefined;
  /** of a file */
  file?: Buffer;
  /** Mode of an entry for the folder itself, written first: the archive may have none for it. */
  folderMode?: number;
  /** of a folder: a gzipped tar, already checked */
  archive?: Buffer;
}

export const FILE_MODE = 0o644;
export const FOLDER_MODE = 0o755;

/**
 * Writes one tar of all contents, to be unpacked at the root. Archives are repacked entry by entry, so that the engine unpacks exactly
 * what was checked.
 * @param limit bytes that each archive may unpack to
 */
export function packContents(contents: readonly PathContent[], limit: number): Readable {
  const tar = pack();
  const stream = Readable.from(tar);
  packAll(tar, contents, limit).catch((error: Error) => tar.destroy(error));
  return stream;
}

async function packAll(tar: Pack, contents: readonly PathContent[], limit: number): Promise<void> {
  for (const { path, mode, file, folderMode, archive } of contents) {
    const root = path.slice(1);
    if (file) await addTarEntry(tar, { name: root, type: "file", mode: mode ?? FILE_MODE, size: file.length }, file);
    if (folderMode !== undefined) await addTarEntry(tar, { name: `${root}/`, type: "directory", mode: folderMode });
    if (archive) await repack(tar, root, archive, limit);
    if (!file && mode !== undefined) await addTarEntry(tar, { name: `${root}/`, type: "directory", mode });
  }
  tar.finalize();
}

async function repack(tar: Pack, root: string, archive: Buffer, limit: number): Promise<void> {
  for await (const { type, name, target, header, body } of readTarGz(archive, limit)) {
    const { mode, mtime, size } = header;
    const repacked: Partial<Header> & { name: string } = {
      name: name === "" ? `${root}/` : `${root}/${name}`,
      type,
      ...withoutUndefined({ mode, mtime }),
      ...ownerFields(header),
    };
    if (type === "symlink") repacked.linkname = target;
    if (type === "link") repacked.linkname = `${root}/${normalizeEntryName(target)}`;
    if (type !== "file") {
      body.resume();
      await addTarEntry(tar, repacked);
      continue;
    }
    const sink = tar.entry({ ...repacked, size: size ?? 0 });
    body.pipe(sink);
    await finished(sink);
  }
}

/** tar-stream writes larger ids as this one. */
const MAX_OCTAL_ID = 0o777777;

/** The header's fields for an owner, with pax records for ids that its octal digits can't hold. */
export function ownerFields({ uid = 0, gid = 0 }: { uid?: number | undefined; gid?: number | undefined }): Partial<Header> {
  const isSmall = uid <= MAX_OCTAL_ID && gid <= MAX_OCTAL_ID;
  return { uid, gid, ...(isSmall ? {} : { pax: { uid: String(uid), gid: String(gid) } }) };
}

function withoutUndefined(fields: Partial<Header>): Partial<Header> {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));
}

/** Resolves when the entry, with all of its bytes, has been written. */
export function addTarEntry(tar: Pack, header: Partial<Header> & { name: string }, bytes: Buffer = Buffer.alloc(0)): Promise<void> {
  return new Promise((resolve, reject) => {
    const entry = tar.entry(header, bytes, (error) => (error ? reject(error) : resolve()));
    // The callback has the same error.
    entry.on("error", () => undefined);
  });
}
