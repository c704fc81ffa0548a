import type { Readable, Writable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { type Header, type Pack, pack } from "tar-stream";
import type { Spool } from "./spool";
import { unpackedFiles } from "./zip-unpack";

const FILE_MODE = 0o644;
const EXECUTABLE_MODE = 0o755;
const FOLDER_MODE = 0o755;

export interface Owner {
  uid: number;
  gid: number;
}

/** A tar that is made while it is read. */
export interface TarOut {
  tar: Readable;
  /** Resolves, whatever came, when nothing is read for it any more. */
  over: Promise<void>;
}

/**
 * What a checked zip archive holds as a tar.
 * @param prefix of all names in it: empty, or with a slash at its end
 * @param folders to begin with, by their names in the tar
 */
export function tarOf(spool: Spool, prefix: string, folders: readonly string[], owner: Owner): TarOut {
  const packed = pack();
  const over = fill(packed, spool, prefix, folders, owner).catch((error) => packed.destroy(error));
  return { tar: packed as unknown as Readable, over };
}

async function fill(tar: Pack, spool: Spool, prefix: string, folders: readonly string[], owner: Owner): Promise<void> {
  const mtime = new Date();
  for (const name of folders) await add(tar, { name: `${name}/`, type: "directory", mode: FOLDER_MODE, mtime, ...owner });
  for await (const { entry, name, executable, modified, content } of unpackedFiles(spool)) {
    const mode = executable ? EXECUTABLE_MODE : FILE_MODE;
    const header = { name: prefix + name, size: entry.uncompressedSize, mode, mtime: modified, ...owner };
    if (Buffer.isBuffer(content)) await add(tar, header, content);
    else await pipeline(content, tar.entry(header) as unknown as Writable);
  }
  tar.finalize();
}

function add(tar: Pack, header: Partial<Header> & { name: string }, bytes: Buffer = Buffer.alloc(0)): Promise<void> {
  return new Promise((resolve, reject) => {
    const entry = tar.entry(header, bytes, (error) => (error ? reject(error) : resolve()));
    // It says so once more when the engine breaks off.
    entry.on("error", () => undefined);
  });
}
