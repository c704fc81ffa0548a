import { randomUUID } from "node:crypto";
import { mkdir, readdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import path from "node:path";
import type { Logger } from "../../../support/logger";
import type { Store } from "./store";

const ENDING = ".node.json";
const LARGEST = 10_000;

/** A folder that all nodes share. Files are written beside their place and renamed into it; unchanged ones are not read again. */
export class FolderStore implements Store {
  private readonly known = new Map<string, { stamp: string; text: string }>();
  /** Files that can't be read and have been warned of. */
  private readonly unreadable = new Set<string>();

  /** @param folder made if it isn't there */
  constructor(
    private readonly folder: string,
    private readonly log: Logger,
  ) {}

  async publish(key: string, text: string): Promise<void> {
    await mkdir(this.folder, { recursive: true });
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
    const names = (await readdir(this.folder)).filter((name) => name.endsWith(ENDING) && !name.startsWith("."));
    for (const name of this.known.keys()) if (!names.includes(name)) this.known.delete(name);
    const texts = new Map<string, string>();
    // One after the other: each file that hangs would take one of the few threads that all of the process's files share.
    for (const name of names) {
      const text = await this.readOne(name);
      if (text !== undefined) texts.set(name.slice(0, -ENDING.length), text);
    }
    return texts;
  }

  private async readOne(name: string): Promise<string | undefined> {
    const file = path.join(this.folder, name);
    try {
      const status = await stat(file);
      if (status.size > LARGEST || !status.isFile()) return undefined;
      const stamp = `${status.mtimeMs} ${status.size} ${status.ino}`;
      const known = this.known.get(name);
      if (known?.stamp === stamp) return known.text;
      const text = await readFile(file, "utf8");
      this.known.set(name, { stamp, text });
      this.unreadable.delete(name);
      return text;
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException;
      // Withdrawn meanwhile, or one that is somebody else's: the others can be read all the same.
      if (code !== "ENOENT" && !this.unreadable.has(name)) {
        this.unreadable.add(name);
        this.log.warn("a file of the cluster's folder can't be read", { reason: message });
      }
      return undefined;
    }
  }

  async withdraw(key: string): Promise<void> {
    await rm(this.file(key), { force: true });
  }

  async close(): Promise<void> {}

  private file(key: string): string {
    return path.join(this.folder, key + ENDING);
  }
}
