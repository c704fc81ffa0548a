import { Readable } from "node:stream";
import { finished } from "node:stream/promises";
import { type Header, type Pack, pack } from "tar-stream";
import { insideName } from "./entry-names";
import { readArchive } from "./tar-check";

/** A file or a folder on its way into a container. */
export interface Content {
  /** absolute path in the container */
  path: string;
  mode: number | undefined;
  /** of a file */
  file?: Buffer;
  /** The folder isn't there before, and the archive needn't have an entry for it. */
  made?: boolean;
  /** of a folder: a checked gzipped tar */
  archive?: Buffer;
}

const FILE_MODE = 0o644;
const FOLDER_MODE = 0o755;

/**
 * One tar of them all, to be unpacked at the root. It is written anew from what was read of the archives, so that what the engine
 * unpacks is what was checked.
 * @param limit bytes that each may unpack to
 */
export function packContents(contents: readonly Content[], limit: number): Readable {
  const tar = pack();
  const packed = Readable.from(tar);
  packAll(tar, contents, limit).catch((error: Error) => tar.destroy(error));
  return packed;
}

async function packAll(tar: Pack, contents: readonly Content[], limit: number): Promise<void> {
  for (const content of contents) {
    const root = content.path.slice(1);
    if (content.file)
      await add(tar, { name: root, type: "file", mode: content.mode ?? FILE_MODE, size: content.file.length }, content.file);
    if (content.made) await add(tar, { name: `${root}/`, type: "directory", mode: FOLDER_MODE });
    if (content.archive) await addFolder(tar, root, content.archive, limit);
    if (!content.file && content.mode !== undefined) await add(tar, { name: `${root}/`, type: "directory", mode: content.mode });
  }
  tar.finalize();
}

async function addFolder(tar: Pack, root: string, archive: Buffer, limit: number): Promise<void> {
  for await (const { type, name, target, header, body } of readArchive(archive, limit)) {
    const { mode, uid, gid, mtime, size } = header;
    const kept: Partial<Header> & { name: string } = {
      name: name === "" ? `${root}/` : `${root}/${name}`,
      type,
      ...given({ mode, uid, gid, mtime }),
    };
    if (type === "symlink") kept.linkname = target;
    if (type === "link") kept.linkname = `${root}/${insideName(target)}`;
    if (type !== "file") {
      body.resume();
      await add(tar, kept);
      continue;
    }
    const sink = tar.entry({ ...kept, size: size ?? 0 });
    body.pipe(sink);
    await finished(sink);
  }
}

function given(fields: Partial<Header>): Partial<Header> {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));
}

function add(tar: Pack, header: Partial<Header> & { name: string }, bytes: Uint8Array = new Uint8Array(0)): Promise<void> {
  return new Promise((resolve, reject) => tar.entry(header, bytes, (error) => (error ? reject(error) : resolve())));
}
