import { addAbortSignal, Readable } from "node:stream";
import { finished } from "node:stream/promises";
import { normalizeEntryName } from "../archive/entry-names";
import { MAX_ZIP_ENTRIES } from "../archive/zip-read";
import type { Engine } from "../docker/engine";
import { AppError, invalidField } from "../errors";
import { lazyRequire } from "../support/lazy-require";
import { pathInFolder, readContainerArchive, type TarStreamEntry } from "./container-archive";
import { ContainerPaths } from "./container-paths";
import { openFile } from "./download";

const loadYazl = lazyRequire(() => require("yazl") as typeof import("yazl"));

/** The fastest: who waits for it is on the other side of a network, and the node has other things to do. */
const LEVEL = 1;
/** Most of a zip's comment (bytes) is 65,535. */
const LONGEST_COMMENT = 60_000;

/** A zip that is made while it is read. */
export interface ZipDownload {
  /** for the file that it becomes */
  name: string;
  bytes: AsyncGenerator<Buffer>;
}

/** A further name of a file. */
interface Linked {
  name: string;
  options: { mtime?: Date; mode: number; compressionLevel: number };
}

/**
 * A folder of a container as a zip of what is in it, or a file as a zip of it alone. Links are left out, and so is what has no name
 * that a zip could hold: its comment names them.
 * @param path relative to /app, or absolute
 * @throws AppError FILE_NOT_FOUND, LEADS_OUT
 */
export async function zipFolder(engine: Engine, id: string, path: string): Promise<ZipDownload> {
  const found = await new ContainerPaths(engine, id).resolve(path);
  if (found.kind === "other") throw invalidField("path", "is neither a file nor a folder");
  const last = found.path.slice(found.path.lastIndexOf("/") + 1);
  const sent = await readContainerArchive(engine, id, found.path);
  const zip = new (loadYazl().ZipFile)();
  const out = zip.outputStream as NodeJS.ReadableStream & { destroy(error?: Error): void; destroyed: boolean };
  const root = found.kind === "folder" ? found.path : "";
  const linked: Linked[] = [];
  const over = new AbortController();
  async function fill(): Promise<void> {
    const left = new LeftOut();
    let count = 0;
    for await (const entry of sent.entries) {
      count += 1;
      if (count > MAX_ZIP_ENTRIES) throw new AppError("CONTENT_TOO_LARGE", { message: `More than ${MAX_ZIP_ENTRIES} entries` });
      const name = root === "" ? last : pathInFolder(root, entry.header.name);
      await addEntry(name, entry, left);
    }
    // Not before: while the engine sends of a container, nothing else can be had of it.
    for (const each of linked) await addLinked(each);
    // Of a text it would take only what fits an older character set, and no line breaks.
    zip.end({ forceZip64Format: false, comment: Buffer.from(left.comment()) as never });
  }
  async function addEntry(name: string, entry: TarStreamEntry, left: LeftOut): Promise<void> {
    const { type, mtime, mode, size } = entry.header;
    const dated = mtime ? { mtime } : {};
    if (name !== "" && !canHold(name)) left.add(name);
    else if (type === "directory") {
      if (name !== "") zip.addEmptyDirectory(name, { ...dated, mode: 0o040000 | ((mode ?? 0) & 0o777) });
    } else if (type === "file" || type === "contiguous-file") {
      zip.addReadStream(entry as never, name, {
        ...dated,
        mode: 0o100000 | ((mode ?? 0) & 0o777),
        compressionLevel: LEVEL,
        size: size ?? 0,
      });
      return finished(entry as never, { writable: false });
    } else if (type === "link")
      linked.push({ name, options: { ...dated, mode: 0o100000 | ((mode ?? 0) & 0o777), compressionLevel: LEVEL } });
    else left.add(name);
    entry.resume();
  }
  /** The engine sends the bytes of a file with several names only once. */
  async function addLinked({ name, options }: Linked): Promise<void> {
    const file = await openFile(engine, id, `${root === "/" ? "" : root}/${name}`);
    try {
      const bytes = addAbortSignal(over.signal, Readable.from(file.bytes(0, file.size - 1)));
      zip.addReadStream(bytes, name, { ...options, size: file.size });
      await finished(bytes);
    } finally {
      file.close();
    }
  }
  async function* bytes(): AsyncGenerator<Buffer> {
    zip.on("error", (error: Error) => out.destroy(error));
    fill().catch((error: Error) => out.destroy(error));
    try {
      for await (const chunk of out) yield chunk as Buffer;
    } finally {
      over.abort();
      sent.close();
      out.destroy();
    }
  }
  return { name: `${last || "files"}.zip`, bytes: bytes() };
}

/** What would lead elsewhere on the machine of whoever unpacks it, as some programs do, doesn't go into a zip. */
function canHold(name: string): boolean {
  if (name.includes("\\") || /^[A-Za-z]:/.test(name)) return false;
  try {
    return normalizeEntryName(name) === name;
  } catch {
    return false;
  }
}

class LeftOut {
  private readonly names: string[] = [];
  private length = 0;
  private more = 0;

  add(name: string): void {
    const plain = name.replace(/[^\x20-\x7e]/g, "?");
    if (this.length + plain.length > LONGEST_COMMENT) this.more += 1;
    else this.names.push(plain);
    this.length += plain.length + 1;
  }

  comment(): string {
    if (this.names.length === 0) return "";
    return `Left out (links, and what has no name for a zip):\n${this.names.join("\n")}${this.more > 0 ? `\nand ${this.more} more` : ""}`;
  }
}
