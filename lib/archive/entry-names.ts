import { MAX_LINK_HOPS } from "../support/max-link-hops";
import { ArchiveFault } from "./archive-fault";
import { MAX_LINK_STEPS, MAX_NAME_BYTES, MAX_NAMES_LENGTH, MAX_PATH_BYTES } from "./limits";

/** Characters of a long name or link target that an error shows. */
const SHOWN_LENGTH = 100;

/**
 * @returns the path of an entry below the archive's root, without "." and empty parts; empty for the root itself
 * @throws ArchiveFault if it is absolute, leads out of the archive, or is too long
 */
export function normalizeEntryName(name: string): string {
  if (name === "") throw new ArchiveFault("has an entry without a name");
  if (name.includes("\0")) throw new ArchiveFault("has a name with a NUL character", name);
  if (name.startsWith("/")) throw new ArchiveFault("has an absolute path", name);
  const parts = name.split("/").filter((part) => part !== "" && part !== ".");
  if (parts.includes("..")) throw new ArchiveFault("has a path that leads out of it", name);
  if (Buffer.byteLength(name) > MAX_PATH_BYTES || parts.some((part) => Buffer.byteLength(part) > MAX_NAME_BYTES)) {
    throw new ArchiveFault("has a path that is too long", name.slice(0, SHOWN_LENGTH));
  }
  return parts.join("/");
}

/** @returns the name unchanged if it is not valid: then no file has it */
function normalizeIfValid(name: string): string {
  try {
    return normalizeEntryName(name);
  } catch {
    return name;
  }
}

/** Limits the memory that an archive's names take: a few bytes of an archive can name thousands of nested folders. */
export class NameBudget {
  private length = 0;

  /**
   * @param entry named in the error
   * @throws ArchiveFault if all names together are too long
   */
  add(name: string, entry: string): void {
    this.length += name.length;
    if (this.length > MAX_NAMES_LENGTH) throw new ArchiveFault("has names that are too long altogether", entry.slice(0, SHOWN_LENGTH));
  }
}

/** The folders that contain a name, innermost first. */
export function* parentFolders(name: string): Generator<string> {
  for (let slash = name.lastIndexOf("/"); slash > 0; slash = name.lastIndexOf("/", slash - 1)) yield name.slice(0, slash);
}

/**
 * Checks that no entry of an archive, and no relative link in it, leads out of the archive. An absolute link leads to a path of the container
 * that has it, and nothing is written through it.
 */
export class ArchiveLinks {
  private readonly links = new Map<string, string>();
  private readonly files = new Set<string>();
  private readonly folders = new Set<string>();
  private readonly parents = new Set<string>();
  private readonly budget = new NameBudget();
  private steps = 0;

  /**
   * @param name normalized
   * @param target of a symbolic or hard link
   * @throws ArchiveFault
   */
  add(type: string, name: string, target: string): void {
    if (name === "" && type !== "directory") throw new ArchiveFault("has a root that is no folder", ".");
    this.budget.add(name, name);
    for (const parent of parentFolders(name)) {
      if (this.parents.has(parent)) break;
      this.budget.add(parent, name);
      this.parents.add(parent);
    }
    if (type === "link" && !this.files.has(normalizeIfValid(target))) throw new ArchiveFault("has a hard link to no file of it", name);
    if (type === "file" || type === "link") this.files.add(name);
    if (type === "directory") this.folders.add(name);
    if (type !== "symlink") return;
    if (target === "") throw leadsOutFault(name, target);
    // The engine writes both; only one could be followed here.
    if (this.links.has(name)) throw new ArchiveFault("has two links of one name", name);
    if (Buffer.byteLength(target) > MAX_PATH_BYTES) throw new ArchiveFault("has a link that is too long", name);
    this.links.set(name, target);
  }

  /**
   * Must be called after the last `add`.
   * @throws ArchiveFault
   */
  check(): void {
    for (const name of this.files) if (this.parents.has(name)) throw new ArchiveFault("has a file and a folder of one name", name);
    for (const [name, target] of this.links) {
      // An entry below a link would be written to wherever the link leads.
      if (this.parents.has(name)) throw new ArchiveFault("has entries behind a link of it", name);
      if (this.files.has(name)) throw new ArchiveFault("has a file and a link of one name", name);
      if (this.folders.has(name)) throw new ArchiveFault("has a folder and a link of one name", name);
      if (this.leadsOut(name, target)) throw leadsOutFault(name, target);
    }
  }

  private leadsOut(name: string, target: string): boolean {
    if (target.startsWith("/")) return false;
    const current = name.split("/").slice(0, -1);
    const remaining = target.split("/").reverse();
    for (let hops = 0; remaining.length > 0; ) {
      const part = remaining.pop() as string;
      this.steps += 1;
      if (this.steps > MAX_LINK_STEPS) throw new ArchiveFault("has links that take too long to follow", name);
      if (part === "" || part === ".") continue;
      if (part === "..") {
        if (current.pop() === undefined) return true;
        continue;
      }
      current.push(part);
      const next = this.links.get(current.join("/"));
      if (next === undefined) continue;
      if (next.startsWith("/")) return false;
      hops += 1;
      if (hops > MAX_LINK_HOPS) throw new ArchiveFault("has links that lead in a circle", name);
      current.pop();
      remaining.push(...next.split("/").reverse());
    }
    return false;
  }
}

function leadsOutFault(name: string, target: string): ArchiveFault {
  return new ArchiveFault(`has a link that leads out of it, to ${target.slice(0, SHOWN_LENGTH)}`, name);
}
