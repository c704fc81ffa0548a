import { buffer } from "node:stream/consumers";
import { lazyRequire } from "../support/lazy-require";

/** Unix' st_mode of a regular file that its owner may write and all may read. */
const FILE_MODE = 0o100644;

const loadYazl = lazyRequire(() => require("yazl") as typeof import("yazl"));

/**
 * Zips files in memory.
 * @param files content by relative path, with slashes
 * @throws Error that says what is wrong with a path
 */
export async function zipTexts(files: Readonly<Record<string, string>>): Promise<Buffer> {
  const { ZipFile } = loadYazl();
  const zip = new ZipFile();
  for (const [path, text] of Object.entries(files)) zip.addBuffer(Buffer.from(text), path, { mode: FILE_MODE, compress: false });
  zip.end();
  return buffer(zip.outputStream);
}
