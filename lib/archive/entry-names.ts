/** Longest path (bytes) that Linux knows, and longest name in one. */
const LONGEST_PATH = 4096;
const LONGEST_NAME = 255;
/** Links that may lead on to another, as in Linux. */
const HOPS = 40;
/** Characters that all names of one archive may have, the folders in them counted each. */
const LONGEST_NAMES = 50_000_000;
/** Steps of following links that one archive may cost. */
const STEPS = 200_000;

/** What is wrong with an archive: for the client. */
export class ArchiveFault extends Error {
  /** @param entry at which it shows */
  constructor(
    reason: string,
    readonly entry?: string,
  ) {
    super(reason);
  }
}

/**
 * The path of an entry below the archive's root, without what doesn't count; empty for the root itself.
 * @throws ArchiveFault if it leads elsewhere
 */
export function insideName(given: string): string {
  if (given === "") throw new ArchiveFault("has an entry without a name");
  if (given.includes("\0")) throw new ArchiveFault("has a name with a NUL character", given);
  if (given.startsWith("/")) throw new ArchiveFault("has an absolute path", given);
  const parts = given.split("/").filter((part) => part !== "" && part !== ".");
  if (parts.includes("..")) throw new ArchiveFault("has a path that leads out of it", given);
  if (Buffer.byteLength(given) > LONGEST_PATH || parts.some((part) => Buffer.byteLength(part) > LONGEST_NAME)) {
    throw new ArchiveFault("has a path that is too long", given.slice(0, 100));
  }
  return parts.join("/");
}

/** @returns a name as `insideName` gives it; whatever leads elsewhere is no file's name */
function plainName(given: string): string {
  try {
    return insideName(given);
  } catch {
    return given;
  }
}

/** Counts how much the names of an archive take: a few bytes of it can name thousands of folders, each in the next. */
export class NamesLength {
  private length = 0;

  /** @throws ArchiveFault if it is too much */
  add(name: string, entry: string): void {
    this.length += name.length;
    if (this.length > LONGEST_NAMES) throw new ArchiveFault("has names that are too long altogether", entry.slice(0, 100));
  }
}

/** The folders that a name lies in, the innermost first. */
export function* foldersOf(name: string): Generator<string> {
  for (let at = name.lastIndexOf("/"); at > 0; at = name.lastIndexOf("/", at - 1)) yield name.slice(0, at);
}

/** The links of an archive, and whether following them stays inside it. */
export class ArchiveLinks {
  private readonly links = new Map<string, string>();
  private readonly files = new Set<string>();
  private readonly parents = new Set<string>();
  private readonly length = new NamesLength();
  private steps = 0;

  /** @throws ArchiveFault */
  add(type: string, name: string, target: string): void {
    if (name === "" && type !== "directory") throw new ArchiveFault("has a root that is no folder", ".");
    this.length.add(name, name);
    for (const parent of foldersOf(name)) {
      if (this.parents.has(parent)) break;
      this.length.add(parent, name);
      this.parents.add(parent);
    }
    if (type === "link" && !this.files.has(plainName(target))) throw new ArchiveFault("has a hard link to no file of it", name);
    if (type === "file" || type === "link") this.files.add(name);
    if (type !== "symlink") return;
    if (target === "" || target.startsWith("/"))
      throw new ArchiveFault(`has a link that leads out of it, to ${target.slice(0, 100)}`, name);
    if (Buffer.byteLength(target) > LONGEST_PATH) throw new ArchiveFault("has a link that is too long", name);
    this.links.set(name, target);
  }

  /**
   * To be called when all entries have been added.
   * @throws ArchiveFault
   */
  check(): void {
    for (const name of this.files) if (this.parents.has(name)) throw new ArchiveFault("has a file and a folder of one name", name);
    for (const [name, target] of this.links) {
      // What lies behind a link is written wherever the link leads.
      if (this.parents.has(name)) throw new ArchiveFault("has entries behind a link of it", name);
      if (this.files.has(name)) throw new ArchiveFault("has a file and a link of one name", name);
      if (this.leadsOut(name, target)) throw new ArchiveFault(`has a link that leads out of it, to ${target.slice(0, 100)}`, name);
    }
  }

  private leadsOut(name: string, target: string): boolean {
    const place = name.split("/").slice(0, -1);
    const todo = target.split("/").reverse();
    for (let hops = 0; todo.length > 0; ) {
      const part = todo.pop() as string;
      this.steps += 1;
      if (this.steps > STEPS) throw new ArchiveFault("has links that take too long to follow", name);
      if (part === "" || part === ".") continue;
      if (part === "..") {
        if (place.pop() === undefined) return true;
        continue;
      }
      place.push(part);
      const next = this.links.get(place.join("/"));
      if (next === undefined) continue;
      hops += 1;
      if (hops > HOPS) throw new ArchiveFault("has links that lead in a circle", name);
      place.pop();
      todo.push(...next.split("/").reverse());
    }
    return false;
  }
}
