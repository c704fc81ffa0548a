import { APP_FOLDER } from "../docker/app-folder";
import type { Engine } from "../docker/engine";
import { AppError, invalidField, isNotFound } from "../errors";
import { MAX_LINK_HOPS } from "../support/max-link-hops";

/** Bits of Go's fs.FileMode, which the engine reports. */
const GO_MODE_DIR = 31;
const GO_MODE_SYMLINK = 27;
/** device, named pipe, socket, character device, irregular */
const GO_MODE_OTHERS = [26, 25, 24, 21, 19];

/** A path that exists in a container. */
export interface ContainerPath {
  /** absolute, without links */
  path: string;
  kind: "file" | "folder" | "other";
  /** bytes */
  size: number;
  modifiedAt: Date;
}

type PathStat = Omit<ContainerPath, "path" | "kind"> & { kind: ContainerPath["kind"] | "link"; target: string };

/** Resolves paths in one container, running or not. */
export class ContainerPaths {
  /** @param id full id */
  constructor(
    private readonly engine: Engine,
    private readonly id: string,
  ) {}

  /**
   * Resolves a path. Links are followed, but not out of /app if the path itself is in it.
   * @param path relative to /app, or absolute
   * @throws AppError FILE_NOT_FOUND, LEADS_OUT
   */
  async resolve(path: string): Promise<ContainerPath> {
    const { found, missing } = await this.resolvePartly(path);
    if (missing.length > 0) throw notFound(path);
    return found;
  }

  /**
   * Resolves a path that may be missing from some folder on.
   * @returns the last part that exists, and the names that are missing below it
   * @throws AppError FILE_NOT_FOUND if a parent is a file; LEADS_OUT
   */
  async resolvePartly(given: string): Promise<{ found: ContainerPath; missing: string[] }> {
    const path = toAbsolute(given);
    const isConfined = path === APP_FOLDER || path.startsWith(`${APP_FOLDER}/`);
    let found: ContainerPath = { path: "/", kind: "folder", size: 0, modifiedAt: new Date(0) };
    /** where /app leads to, once it is resolved */
    let root = "/";
    const remaining = path.split("/").filter(Boolean).reverse();
    for (let hops = 0; remaining.length > 0; ) {
      const name = remaining.pop() as string;
      if (name === "..") {
        // Only in a link's target: toAbsolute has removed those of the path.
        const parent = found.path.slice(0, found.path.lastIndexOf("/")) || "/";
        found = { ...found, path: parent, kind: "folder" };
        continue;
      }
      if (found.kind !== "folder") throw notFound(given);
      const current = `${found.path === "/" ? "" : found.path}/${name}`;
      const stat = await this.stat(current);
      if (!stat) return { found, missing: [name, ...remaining.reverse()] };
      if (stat.kind !== "link") found = { path: current, kind: stat.kind, size: stat.size, modifiedAt: stat.modifiedAt };
      else {
        hops += 1;
        if (hops > MAX_LINK_HOPS) throw new AppError("LEADS_OUT", { message: `Links lead in a circle: ${given}` });
        // The engine gives the final target, as an absolute path.
        found = { path: "/", kind: "folder", size: 0, modifiedAt: stat.modifiedAt };
        remaining.push(...stat.target.split("/").filter(Boolean).reverse());
        if (isConfined && current !== APP_FOLDER && !isWithin(stat.target, root)) throw leadsOut(given, stat.target);
      }
      if (isConfined && current === APP_FOLDER) root = stat.kind === "link" ? stat.target : APP_FOLDER;
    }
    if (isConfined && !isWithin(found.path, root)) throw leadsOut(given, found.path);
    return { found, missing: [] };
  }

  /** The file, folder or link at a path, without following that link; undefined if there is none. */
  async stat(path: string): Promise<PathStat | undefined> {
    try {
      const response = await this.engine.stream("HEAD", `/containers/${this.id}/archive`, { query: { path } });
      response.resume();
      return parseStat(String(response.headers["x-docker-container-path-stat"]));
    } catch (error) {
      // The container exists, since its id was just looked up. A path below a file is also answered with 404.
      if (isNotFound(error)) return undefined;
      throw error;
    }
  }
}

function parseStat(header: string): PathStat {
  const { mode, size, mtime, linkTarget } = JSON.parse(Buffer.from(header, "base64").toString());
  const hasBit = (bit: number) => Math.floor(mode / 2 ** bit) % 2 === 1;
  const kind = hasBit(GO_MODE_DIR) ? "folder" : hasBit(GO_MODE_SYMLINK) ? "link" : GO_MODE_OTHERS.some(hasBit) ? "other" : "file";
  return { kind, size, modifiedAt: new Date(mtime), target: linkTarget };
}

/** @throws AppError naming the path if a relative one leads out of /app */
function toAbsolute(given: string): string {
  const parts: string[] = [];
  const isRelative = !given.startsWith("/");
  for (const part of given.split("/")) {
    if (part === "" || part === ".") continue;
    if (part !== "..") parts.push(part);
    else if (parts.pop() === undefined && isRelative) throw invalidField("path", `leads out of ${APP_FOLDER}; give it as an absolute one`);
  }
  return `${isRelative ? APP_FOLDER : ""}/${parts.join("/")}`.replace(/(?<=.)\/$/, "");
}

const isWithin = (path: string, root: string) => path === root || root === "/" || path.startsWith(`${root}/`);

const notFound = (path: string) =>
  new AppError("FILE_NOT_FOUND", { message: `No such file or folder in the container: ${path.slice(0, 300)}`, details: { path } });

const leadsOut = (path: string, target: string) =>
  new AppError("LEADS_OUT", {
    message: `A link leads out of ${APP_FOLDER}, to ${target.slice(0, 300)}; what is there is to be asked for by that path`,
    details: { path, target },
  });
