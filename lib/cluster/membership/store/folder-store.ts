import { randomUUID } from "node:crypto";
import { constants } from "node:fs";
import { mkdir, open, readdir, rename, rm, stat, writeFile } from "node:fs/promises";
import path from "node:path";
import type { Logger } from "../../../support/logger";
import type { Store } from "./store";

const FILE_SUFFIX = ".node.json";
/** Larger files are no records. */
const MAX_FILE_BYTES = 10_000;

/** A shared folder, with one file per node. A file is written under a temporary name and renamed; unchanged files are not read again. */
export class FolderStore implements Store {
  /** By file name; the stamp is modification time, size and inode. */
  private readonly cache = new Map<string, { stamp: string; text: string }>();
  /** Unreadable files that have been logged. */
  private readonly loggedFiles = new Set<string>();

  /** @param folder created at the first publication */
  constructor(
    private readonly folder: string,
    private readonly log: Logger,
  ) {}

  async publish(key: string, text: string): Promise<void> {
    const made = await mkdir(this.folder, { recursive: true });
    if (made !== undefined) this.log.warn("Store folder was not there and was made: all nodes must share it", { folder: this.folder });
    const temporary = path.join(this.folder, `.${key}.${randomUUID()}.tmp`);
    try {
      await writeFile(temporary, text, { mode: 0o600 });
      await rename(temporary, this.file(key));
    } catch (error) {
      await rm(temporary, { force: true }).catch(() => undefined);
      throw error;
    }
  }

  async read(): Promise<Map<string, string>> {
    const names = (await readdir(this.folder)).filter((name) => name.endsWith(FILE_SUFFIX) && !name.startsWith("."));
    for (const name of this.cache.keys()) if (!names.includes(name)) this.cache.delete(name);
    const texts = new Map<string, string>();
    // One at a time: every read that hangs blocks one of the few threads of the process's file system pool.
    for (const name of names) {
      const text = await this.readOne(name);
      if (text !== undefined) texts.set(name.slice(0, -FILE_SUFFIX.length), text);
    }
    return texts;
  }

  private async readOne(name: string): Promise<string | undefined> {
    const file = path.join(this.folder, name);
    try {
      const status = await stat(file);
      if (status.size > MAX_FILE_BYTES || !status.isFile()) return undefined;
      const stamp = `${status.mtimeMs} ${status.size} ${status.ino}`;
      const cached = this.cache.get(name);
      if (cached?.stamp === stamp) return cached.text;
      const text = await readRecord(file);
      if (text === undefined) return undefined;
      this.cache.set(name, { stamp, text });
      this.loggedFiles.delete(name);
      return text;
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException;
      // A missing file was withdrawn meanwhile. Any other failure concerns this file only.
      if (code !== "ENOENT" && !this.loggedFiles.has(name)) {
        this.loggedFiles.add(name);
        this.log.warn("Store file unreadable", { reason: message });
      }
      return undefined;
    }
  }

  async withdraw(key: string): Promise<void> {
    await rm(this.file(key), { force: true });
  }

  async close(): Promise<void> {}

  private file(key: string): string {
    return path.join(this.folder, key + FILE_SUFFIX);
  }
}

/**
 * Whoever writes to the folder may put a pipe or a growing file in the place of the file that was looked at: a pipe's opening doesn't
 * wait, and no more is read than a record may have.
 * @returns undefined if it is no record
 */
async function readRecord(file: string): Promise<string | undefined> {
  const handle = await open(file, constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    if (!(await handle.stat()).isFile()) return undefined;
    const bytes = Buffer.alloc(MAX_FILE_BYTES + 1);
    let length = 0;
    for (let read = -1; read !== 0 && length < bytes.length; length += read)
      read = (await handle.read(bytes, length, bytes.length - length)).bytesRead;
    return length > MAX_FILE_BYTES ? undefined : bytes.toString("utf8", 0, length);
  } finally {
    await handle.close();
  }
}
