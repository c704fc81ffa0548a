import { LRUCache } from "lru-cache";
import type { ContainerList } from "../docker/containers/container-list";
import { RUN_CONTAINER_PREFIX } from "../docker/create/policy";
import { isRunContainer } from "../docker/create/policy-guard";
import type { RawAnswer } from "../docker/raw-engine";
import { type Json, limitOf } from "./merges";

/** An answer serves equal requests so long if nothing has changed: it holds texts such as "Up 3 seconds". */
const LIST_AGE_MS = 25;
const MAX_KEPT_LISTS = 4;

/** Reads this node's containers as its engine lists them. */
export class ContainerLists {
  private readonly recent = new LRUCache<string, { list: RawAnswer; changes: number }>({
    max: MAX_KEPT_LISTS,
    ttl: LIST_AGE_MS,
    ttlAutopurge: true,
  });

  /** @param ask asks the engine for its list */
  constructor(
    private readonly containers: Pick<ContainerList, "changes">,
    private readonly ask: (query: URLSearchParams, version: number | undefined) => Promise<RawAnswer>,
  ) {}

  /** The engine's list for a query of the Docker API. */
  async read(query: URLSearchParams, version: number | undefined): Promise<RawAnswer> {
    // Sizes change without an event.
    if (query.has("size")) return this.readLatest(query, version);
    const key = `${version} ${query}`;
    const { changes } = this.containers;
    const recent = this.recent.get(key);
    if (recent && recent.changes === changes) return recent.list;
    const list = await this.readLatest(query, version);
    if (changes !== undefined && list.status === 200) this.recent.set(key, { list, changes });
    return list;
  }

  /** With a limit, as of `docker ps -l`, the latest of those that clients have made. */
  private async readLatest(query: URLSearchParams, version: number | undefined): Promise<RawAnswer> {
    const list = await this.ask(query, version);
    const limit = limitOf(query);
    if (limit === undefined || !list.body.includes(`"/${RUN_CONTAINER_PREFIX}`)) return list;
    const all = await this.ask(withoutLimit(query), version);
    if (all.status !== 200) return all;
    const isOfRun = ({ Names }: Json) => ((Names ?? []) as string[]).some((name) => isRunContainer(name.slice(1)));
    const latest = (JSON.parse(all.body.toString()) as Json[]).filter((container) => !isOfRun(container)).slice(0, limit);
    return { ...all, body: Buffer.from(JSON.stringify(latest)) };
  }
}

/** The query of a list that is to be cut later: with a limit, the engine lists also what doesn't run. */
export function withoutLimit(query: URLSearchParams): URLSearchParams {
  if (limitOf(query) === undefined) return query;
  const unlimited = new URLSearchParams(query);
  unlimited.delete("limit");
  unlimited.set("all", "1");
  return unlimited;
}
