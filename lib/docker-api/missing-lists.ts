import { LRUCache } from "lru-cache";
import type { MissingNode } from "../cluster/rpc/fan-out";
import { engineError } from "./errors";
import type { Json } from "./merges";

type Filters = Record<string, string[]>;

/** What a node has listed last. */
interface Known {
  /** its list of those that run, if that is younger than the other one */
  running?: Json[] | undefined;
  all?: Json[] | undefined;
}

/**
 * The containers that each node had when it was last asked for them: those of a node that doesn't answer now are not absent. Compose, for
 * one, would make them again.
 */
export class MissingLists {
  private readonly lists = new LRUCache<string, Known>({ max: 500 });

  /**
   * @param accessKey of the client: another may see other containers
   * @param query of the list that was asked for
   */
  remember(node: string, accessKey: string, list: Json[], query: URLSearchParams): void {
    if (Object.values(parseFilters(query.get("filters"))).some(({ length }) => length > 0) || query.has("limit")) return;
    const key = keyOf(node, accessKey);
    this.lists.set(key, asksForAll(query) ? { all: list } : { all: this.lists.get(key)?.all, running: list });
  }

  /** Forgets a container that was removed. @param reference its name, its id or the first digits of that */
  forget(node: string, reference: string): void {
    const isOther = ({ Id, Names }: Json) =>
      !String(Id).startsWith(reference) && !((Names ?? []) as string[]).some((name) => name === `/${reference}`);
    for (const [key, { running, all }] of [...this.lists.entries()])
      if (key.startsWith(`${node} `)) this.lists.set(key, { running: running?.filter(isOther), all: all?.filter(isOther) });
  }

  /**
   * The containers of the missing nodes that a list must have.
   * @throws AppError 503 if a filtered list can't be made without a node
   */
  entries(missing: readonly MissingNode[], accessKey: string, query: URLSearchParams): Json[] {
    const filters = parseFilters(query.get("filters"));
    const names = Object.keys(filters).filter((name) => filters[name]?.length);
    const all = asksForAll(query);
    return missing.flatMap(({ node }) => {
      const known = this.lists.get(keyOf(node, accessKey));
      const list = known && joined(known);
      const isSimple = names.every((name) => name === "label" || name === "name");
      // Compose would make again what is left out.
      const isUnknown = !list || (all && !known?.all);
      if (names.length > 0 && (isUnknown || !isSimple)) throw engineError(503, `node ${node} is unreachable`);
      return (list ?? [])
        .filter((each) => (all || ACTIVE.has(String(each.State))) && matches(each, filters))
        .map((each) => ({ ...each, Status: `Unknown (node ${node} unreachable)` }));
    });
  }
}

const asksForAll = (query: URLSearchParams) => ["1", "true"].includes(query.get("all")?.toLowerCase() ?? "");

/** The states that engines list without being asked for all. */
const ACTIVE: ReadonlySet<string> = new Set(["running", "paused", "restarting"]);

/** Those that ran when they were listed last, and the others of the older list of all, which don't run any more. */
function joined({ running, all = [] }: Known): Json[] {
  if (!running) return all;
  const ids = new Set(running.map(({ Id }) => Id));
  const others = all.filter(({ Id }) => !ids.has(Id));
  return [...running, ...others.map((each) => (ACTIVE.has(String(each.State)) ? { ...each, State: "exited" } : each))];
}

const keyOf = (node: string, accessKey: string) => `${node} ${accessKey}`;

/** The filters of a query, in either of the forms that clients send; empty if they can't be read: the engines then refuse them. */
export function parseFilters(text: string | null): Filters {
  try {
    const parsed = JSON.parse(text || "{}") as Record<string, string[] | Record<string, boolean> | null>;
    return Object.fromEntries(
      Object.entries(parsed).map(([name, value]) => [name, Array.isArray(value) ? value.map(String) : Object.keys(value ?? {})]),
    );
  } catch {
    return {};
  }
}

function matches(container: Json, { label = [], name = [] }: Filters): boolean {
  const labels = (container.Labels ?? {}) as Record<string, string>;
  const names = ((container.Names ?? []) as string[]).map((each) => each.replace(/^\//, ""));
  const hasLabel = (wanted: string) => {
    const [key = "", ...value] = wanted.split("=");
    return Object.hasOwn(labels, key) && (value.length === 0 || labels[key] === value.join("="));
  };
  return (
    label.every(hasLabel) &&
    (name.length === 0 || name.some((wanted) => names.some((each) => each.includes(wanted.replace(/[\^$/]/g, "")))))
  );
}
