import type { Engine } from "../docker/engine";
import { AppError, invalidField, isNotFound } from "../errors";

/** Relative paths are meant below it, and what is asked for in it is not looked for outside. */
export const APP_FOLDER = "/app";
/** Links that may lead on to another, as in Linux. */
const HOPS = 40;

/** Go's FileMode, which the engine tells kinds by. */
const GO_FOLDER = 31;
const GO_LINK = 27;
/** device, pipe, socket, character device, irregular */
const GO_OTHERS = [26, 25, 24, 21, 19];

/** What is at a path of a container. */
export interface ContainerPath {
  /** absolute, without links */
  path: string;
  kind: "file" | "folder" | "other";
  /** bytes */
  size: number;
  modifiedAt: Date;
}

type Stat = Omit<ContainerPath, "path" | "kind"> & { kind: ContainerPath["kind"] | "link"; target: string };

/** Finds what is in one container, running or not. */
export class ContainerPaths {
  /** @param id full id */
  constructor(
    private readonly engine: Engine,
    private readonly id: string,
  ) {}

  /**
   * Finds what is at a path. Links are followed; out of /app only if the path itself doesn't lie in it.
   * @param given relative to /app, or absolute
   * @throws AppError FILE_NOT_FOUND, LEADS_OUT
   */
  async resolve(given: string): Promise<ContainerPath> {
    const { found, missing } = await this.resolvePartly(given);
    if (missing.length > 0) throw notFound(given);
    return found;
  }

  /**
   * The same for a path that need not be there: how far it is there, and the names that are missing.
   * @throws AppError FILE_NOT_FOUND if a file stands in the way
   */
  async resolvePartly(given: string): Promise<{ found: ContainerPath; missing: string[] }> {
    const path = absolute(given);
    const confined = path === APP_FOLDER || path.startsWith(`${APP_FOLDER}/`);
    let found: ContainerPath = { path: "/", kind: "folder", size: 0, modifiedAt: new Date(0) };
    let root = "/";
    const todo = path.split("/").filter(Boolean).reverse();
    for (let hops = 0; todo.length > 0; ) {
      const name = todo.pop() as string;
      if (name === "..") {
        // Only of a link: what was given has none any more.
        const above = found.path.slice(0, found.path.lastIndexOf("/")) || "/";
        found = { ...found, path: above, kind: "folder" };
        continue;
      }
      if (found.kind !== "folder") throw notFound(given);
      const at = `${found.path === "/" ? "" : found.path}/${name}`;
      const stat = await this.stat(at);
      if (!stat) return { found, missing: [name, ...todo.reverse()] };
      if (stat.kind !== "link") found = { path: at, kind: stat.kind, size: stat.size, modifiedAt: stat.modifiedAt };
      else {
        hops += 1;
        if (hops > HOPS) throw new AppError("LEADS_OUT", { message: `Links lead in a circle: ${given}` });
        // The engine tells where it leads in the end.
        found = { path: "/", kind: "folder", size: 0, modifiedAt: stat.modifiedAt };
        todo.push(...stat.target.split("/").filter(Boolean).reverse());
        if (confined && at !== APP_FOLDER && !below(stat.target, root)) throw leadsOut(given, stat.target);
      }
      if (confined && at === APP_FOLDER) root = stat.kind === "link" ? stat.target : APP_FOLDER;
    }
    if (confined && !below(found.path, root)) throw leadsOut(given, found.path);
    return { found, missing: [] };
  }

  /** What is at a path itself, be it a link; undefined if nothing is. */
  async stat(path: string): Promise<Stat | undefined> {
    try {
      const answer = await this.engine.stream("HEAD", `/containers/${this.id}/archive`, { query: { path } });
      answer.resume();
      return statOf(String(answer.headers["x-docker-container-path-stat"]));
    } catch (error) {
      // The container itself has just been found. Below a file is nothing, too.
      if (isNotFound(error)) return undefined;
      throw error;
    }
  }
}

function statOf(header: string): Stat {
  const { mode, size, mtime, linkTarget } = JSON.parse(Buffer.from(header, "base64").toString());
  const has = (bit: number) => Math.floor(mode / 2 ** bit) % 2 === 1;
  const kind = has(GO_FOLDER) ? "folder" : has(GO_LINK) ? "link" : GO_OTHERS.some(has) ? "other" : "file";
  return { kind, size, modifiedAt: new Date(mtime), target: linkTarget };
}

/** @throws AppError naming the path if a relative one leads out of /app */
function absolute(given: string): string {
  const parts: string[] = [];
  const relative = !given.startsWith("/");
  for (const part of given.split("/")) {
    if (part === "" || part === ".") continue;
    if (part !== "..") parts.push(part);
    else if (parts.pop() === undefined && relative) throw invalidField("path", `leads out of ${APP_FOLDER}; give it as an absolute one`);
  }
  return `${relative ? APP_FOLDER : ""}/${parts.join("/")}`.replace(/(?<=.)\/$/, "");
}

const below = (path: string, root: string) => path === root || root === "/" || path.startsWith(`${root}/`);

const notFound = (path: string) =>
  new AppError("FILE_NOT_FOUND", { message: `No such file or folder in the container: ${path.slice(0, 300)}`, details: { path } });

const leadsOut = (path: string, target: string) =>
  new AppError("LEADS_OUT", {
    message: `A link leads out of ${APP_FOLDER}, to ${target.slice(0, 300)}; what is there is to be asked for by that path`,
    details: { path, target },
  });
