import { type FileHandle, lstat, mkdir, open, readdir, rm, stat, symlink, unlink } from "node:fs/promises";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

export interface RotatingFileOptions {
  folder: string;
  /** of the file without its extension */
  name: string;
  extension: string;
  /** A larger file is rotated. */
  maxBytes: number;
  /** Older files are removed. */
  maxAgeDays: number;
}

/** Lines that wait to be written, in bytes: with more than this, as on a disk that hangs, further lines are lost. */
const MAX_QUEUED_BYTES = 64_000_000;
/** Lines that come while others are being written wait so long for more of them: one write costs as much as several requests. */
const BATCH_MS = 10;
/** Between two messages about lines that were lost. */
const TELL_INTERVAL_MS = 60_000;
const DAY_MS = 86_400_000;

/**
 * A log file `NAME-DATE.EXTENSION`, and `NAME.EXTENSION` as a link to it; a new file is begun each day and at a size. A line that can't
 * be written, on a full disk for example, is lost and counted; the next one is tried again. No failure reaches the caller.
 */
export class RotatingFile {
  /** Lines that could not be written. */
  lostLines = 0;
  private queue: string[] = [];
  private queuedBytes = 0;
  private writing: Promise<void> | undefined;
  private handle: FileHandle | undefined;
  private date = "";
  private size = 0;
  /** A write that failed may have left the beginning of a line. */
  private lineIsTorn = false;
  private toldAt = Number.NEGATIVE_INFINITY;
  private failing = false;
  private closed = false;

  /** @param tell is told about lost lines: at the first, then once a minute, and when lines can be written again */
  constructor(
    private readonly options: RotatingFileOptions,
    private readonly tell: (message: string) => void,
  ) {}

  /** Appends one line, later and in order. */
  append(line: string): void {
    if (this.closed) return;
    if (this.queuedBytes > MAX_QUEUED_BYTES) return void this.lose(1, "too many lines wait for the disk");
    this.queue.push(`${line}\n`);
    this.queuedBytes += line.length;
    this.writing ??= this.writeQueue();
  }

  /** Resolves when all lines so far are written or lost; later lines are dropped. */
  async close(): Promise<void> {
    this.closed = true;
    await this.writing;
    await this.handle?.close().catch(() => undefined);
  }

  private async writeQueue(): Promise<void> {
    while (this.queue.length > 0) {
      const lines = this.queue;
      this.queue = [];
      this.queuedBytes = 0;
      try {
        await this.write(lines.join(""));
        if (this.failing) this.tell(`${this.linkName} can be written again; ${this.lostLines} lines are lost`);
        this.failing = false;
      } catch (error) {
        this.lose(lines.length, (error as Error).message);
        await this.handle?.close().catch(() => undefined);
        this.handle = undefined;
      }
      if (this.queue.length > 0 && !this.closed) await sleep(BATCH_MS);
    }
    // In the same step as the last look at the queue: a line appended between the two would wait for the next one.
    this.writing = undefined;
  }

  private lose(lines: number, reason: string): void {
    this.lostLines += lines;
    this.failing = true;
    if (performance.now() - this.toldAt < TELL_INTERVAL_MS) return;
    this.toldAt = performance.now();
    this.tell(`${this.linkName} can't be written, ${this.lostLines} lines are lost: ${reason}`);
  }

  private async write(text: string): Promise<void> {
    const handle = await this.currentFile();
    const bytes = Buffer.from(this.lineIsTorn ? `\n${text}` : text);
    this.lineIsTorn = true;
    await handle.appendFile(bytes);
    this.lineIsTorn = false;
    this.size += bytes.length;
  }

  private async currentFile(): Promise<FileHandle> {
    const date = localDate();
    if (this.handle && this.date === date && this.size <= this.options.maxBytes) return this.handle;
    await this.handle?.close();
    this.handle = undefined;
    const { folder, maxBytes } = this.options;
    await mkdir(folder, { recursive: true });
    const base = `${this.options.name}-${date}.${this.options.extension}`;
    let name = base;
    for (let number = 1; (await sizeOf(path.join(folder, name))) > maxBytes; number++) name = `${base}.${number}`;
    const file = path.join(folder, name);
    this.size = await sizeOf(file);
    this.handle = await open(file, "a");
    this.date = date;
    // Neither the link nor the space of old files is worth a lost line.
    await this.link(name).catch(() => undefined);
    await this.removeOldFiles().catch(() => undefined);
    return this.handle;
  }

  private get linkName(): string {
    return `${this.options.name}.${this.options.extension}`;
  }

  private async link(target: string): Promise<void> {
    const link = path.join(this.options.folder, this.linkName);
    await unlink(link).catch(() => undefined);
    await symlink(target, link);
  }

  private async removeOldFiles(): Promise<void> {
    const { folder, name, extension, maxAgeDays } = this.options;
    for (const file of await rotatedFiles(folder, name, extension))
      if ((await lstat(file)).mtimeMs < Date.now() - maxAgeDays * DAY_MS) await rm(file);
  }
}

/** The paths of all files of a rotating file, the oldest first. */
export async function rotatedFiles(folder: string, name: string, extension: string): Promise<string[]> {
  const files = (await readdir(folder)).flatMap((file) => {
    const rest = file.startsWith(`${name}-`) ? file.slice(name.length + 1) : "";
    const [, date = "", type, number = "0"] = /^(\d{4}-\d\d-\d\d)\.(\w+)(?:\.(\d+))?$/.exec(rest) ?? [];
    return type === extension ? [{ path: path.join(folder, file), date, number: Number(number) }] : [];
  });
  return files.sort((a, b) => (a.date === b.date ? a.number - b.number : a.date < b.date ? -1 : 1)).map((file) => file.path);
}

/** Bytes of a file; 0 if it is absent. */
async function sizeOf(file: string): Promise<number> {
  return stat(file).then(
    ({ size }) => size,
    () => 0,
  );
}

/** Today as YYYY-MM-DD, in this machine's time zone. */
function localDate(): string {
  const now = new Date();
  return [now.getFullYear(), now.getMonth() + 1, now.getDate()].map((part) => String(part).padStart(2, "0")).join("-");
}
