import type { Access } from "../access/access";
import type { Confinement, Permission } from "../access/permissions";
import type { BurstClass } from "../http/route";

/** The kinds of objects that a path names; each object is on one node, an image or a network may be on several. */
export type ObjectKind = "container" | "exec" | "network" | "volume" | "image";

/** How the JSON answers of all nodes become one. */
export type MergeName = "containers" | "images" | "networks" | "volumes" | "info" | "version" | "df" | "prune";

/**
 * Where a row runs and how it is answered:
 * - owner: passed on to the engine that has the object of the path
 * - holders: sent to every engine that has the image
 * - best: passed on to the engine of the node with the best bid
 * - merge: asked of all engines, answered with one body
 * - special: answered by the code of that name
 * - refused: answered with a status and a text
 */
export type RowWhere =
  | { at: "owner"; of: ObjectKind }
  | { at: "holders" }
  | { at: "best" }
  | { at: "merge"; merge: MergeName }
  | {
      at: "special";
      name: "ping" | "events" | "createContainer" | "createNetwork" | "createVolume" | "connect" | "commit" | "plugins" | "save";
    }
  | { at: "refused"; status: number; message: string };

/** What a request's body is: read whole and judged, streamed to the engine, or left out. */
export type RowBody = "none" | "stream" | "json";

/** One row of the Docker API. What no row matches is 404. */
export interface Row {
  method: string;
  /** `:id` is one segment, `*name` one or more */
  path: string;
  where: RowWhere;
  permission: Permission | null;
  /** how it keeps to the labels of a token; absent: refused to such tokens */
  confined?: Confinement;
  burst: BurstClass;
  /** the query parameters that are passed on; any other is a 400 */
  query: readonly string[];
  /** of these, those that may come more than once */
  repeatable?: readonly string[];
  /** parameters of which only the first value counts */
  firstCounts?: readonly string[];
  /** the parameters that some clients send, and engines ignore */
  ignored?: readonly string[];
  body: RowBody;
  /** which body it is, for the judge */
  judge?: "exec" | "execStart" | "update" | "connect" | "disconnect" | "commit";
  /** the policy judges the container as it is before: it is started, or entered; `link`: only a link is removed */
  check?: "start" | "entry" | "rename" | "link";
  /** The connection becomes a raw stream of both directions. */
  hijack?: boolean;
  /** What of the answer some clients don't get: the environment without the permission `exec`; others' containers if confined by labels. */
  hides?: "environment" | "others";
  /** The answer is files of one container, which the engine locks while it sends them: they are read at full speed for slow clients too. */
  readsAhead?: boolean;
  /** a successful request changes what the list of containers says */
  changes?: boolean;
}

type Options = Partial<Omit<Row, "method" | "path" | "where" | "permission" | "query">> & { query?: string };

/**
 * Declares a row.
 * @param target method and path
 * @param options.query the parameters, separated by spaces
 */
export function row(target: string, where: RowWhere, permission: Permission | null, { query = "", ...options }: Options = {}): Row {
  const [method = "", path = ""] = target.split(" ");
  return { method, path, where, permission, burst: "high", body: "none", query: query.split(" ").filter(Boolean), ...options };
}

export interface MatchedRow {
  row: Row;
  /** the object that the path names */
  id: string | undefined;
}

/** Finds the row of a request; undefined if there is none. The first that matches wins. */
export function matchRow(rows: readonly Row[], method: string, segments: readonly string[]): MatchedRow | undefined {
  for (const each of rows) {
    if (each.method !== method && each.method !== "*") continue;
    const id = matchPath(each.path.split("/").slice(1), segments);
    if (id !== undefined) return { row: each, id: id === "" ? undefined : id };
  }
  return undefined;
}

/** @returns the named object, "" if the pattern names none, undefined if the path doesn't match */
function matchPath(pattern: readonly string[], segments: readonly string[]): string | undefined {
  const wild = pattern.findIndex((part) => part.startsWith("*"));
  if (wild < 0 ? pattern.length !== segments.length : segments.length < pattern.length) return undefined;
  const after = wild < 0 ? 0 : pattern.length - wild - 1;
  let id = "";
  for (const [index, part] of pattern.entries()) {
    if (index === wild) {
      id = segments.slice(wild, segments.length - after).join("/");
      continue;
    }
    const segment = segments[wild >= 0 && index > wild ? segments.length - (pattern.length - index) : index] as string;
    // A segment with an encoded slash would be two segments to the engine.
    if (segment.includes("/")) return undefined;
    if (part.startsWith(":")) id = segment;
    else if (part !== segment) return undefined;
  }
  return id;
}

/** The segments of the path of a row for an object. */
export function segmentsOf({ path }: Row, id: string | undefined): string[] {
  return path
    .split("/")
    .slice(1)
    .map((part) => (/^[:*]/.test(part) ? (id ?? "") : part));
}

/** Whether a client gets only a part of the answer. */
export function isHidden({ hides }: Row, access: Access): boolean {
  return (hides === "environment" && !access.can("exec")) || (hides === "others" && access.labels !== undefined);
}
