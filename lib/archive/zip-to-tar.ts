import type { Readable, Writable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { type Pack, pack } from "tar-stream";
import type { Spool } from "./spool";
import { addTarEntry, FILE_MODE, FOLDER_MODE, ownerFields } from "./tar-write";
import { unpackFiles } from "./zip-unpack";

const EXECUTABLE_MODE = 0o755;

export interface FileOwner {
  uid: number;
  gid: number;
}

export interface ConvertedTar {
  /** written while it is read */
  tar: Readable;
  /** Resolves, also after an error, when the spool is no longer read. */
  finished: Promise<void>;
}

/**
 * Converts a checked zip archive to a tar.
 * @param prefix of all names in the tar: empty, or ending with a slash
 * @param folders to be created first, by their names in the tar
 */
export function zipToTar(spool: Spool, prefix: string, folders: readonly string[], owner: FileOwner): ConvertedTar {
  const tar = pack();
  const finished = writeEntries(tar, spool, prefix, folders, owner).catch((error) => tar.destroy(error));
  return { tar: tar as unknown as Readable, finished };
}

async function writeEntries(tar: Pack, spool: Spool, prefix: string, folders: readonly string[], owner: FileOwner): Promise<void> {
  const mtime = new Date();
  for (const name of folders)
    await addTarEntry(tar, { name: `${name}/`, type: "directory", mode: FOLDER_MODE, mtime, ...ownerFields(owner) });
  for await (const { entry, name, isExecutable, modifiedAt, content } of unpackFiles(spool)) {
    const mode = isExecutable ? EXECUTABLE_MODE : FILE_MODE;
    const header = { name: prefix + name, size: entry.uncompressedSize, mode, mtime: modifiedAt, ...ownerFields(owner) };
    if (Buffer.isBuffer(content)) await addTarEntry(tar, header, content);
    else await pipeline(content, tar.entry(header) as unknown as Writable);
  }
  tar.finalize();
}
