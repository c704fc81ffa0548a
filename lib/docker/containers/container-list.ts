import { createHash } from "node:crypto";
import type { IncomingMessage } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { LRUCache } from "lru-cache";
import { AppError, isUnavailable, nameTaken } from "../../errors";
import type { Logger } from "../../support/logger";
import type { ContainerInspectInfo, Engine } from "../engine";
import { ALIAS_LABEL, type ContainerSummary, hasAlias, toSummary } from "./container-summary";
import { NameEvents } from "./name-events";

export { ALIAS_LABEL, type ContainerSummary, imageIdOf, type PortSummary } from "./container-summary";

/** The label of the containers that `GET /containers` lists. */
export const MANAGED_LABEL = "dockapi.managed";

export interface Snapshot {
  containers: ContainerSummary[];
  /** `containers` as JSON, serialized once for all requests. */
  json: Buffer;
  /** hash of `json` */
  version: string;
  /** Whether `onChange` will report changes; false while the engine's events can't be followed. */
  followed: boolean;
}

export interface Matches {
  exact: ContainerSummary[];
  prefix: ContainerSummary[];
}

/**
 * Nothing is remembered for longer: a text such as "Up 3 minutes" changes without an event, and the connection that brings the events can
 * fall silent without an end.
 */
const MAX_AGE_MS = 1000;
const RECONNECT_PAUSE_MS = 500;
/** Between two lookups of a container that is being replaced. */
const REPLACEMENT_POLL_MS = 20;
/** The engine has this time to list a change that it has told of. */
const CHANGE_LISTED_MS = 1000;
const CHANGE_POLL_MS = 10;
/** The events that change the list. Others, such as those of a health check's exec, are frequent and change nothing. */
const LIST_EVENTS = "create start die stop kill destroy rename pause unpause restart update oom health_status".split(" ");

/** All containers of this host, cached until an event of the engine or a change by this process, for a second at most. */
export class ContainerList {
  private generation = 0;
  private snapshot: (Snapshot & { generation: number; at: number }) | undefined;
  private pendingRead: { generation: number; result: Promise<Snapshot> } | undefined;
  /** Containers found by exact name or id since the last change. */
  private readonly exactMatches = new LRUCache<string, ContainerSummary>({ max: 1000, ttl: MAX_AGE_MS });
  /** Names whose container is being replaced by another. */
  private readonly replacedNames = new Set<string>();
  private watching = false;
  private readonly listeners: (() => void)[] = [];
  private readonly nameListeners: ((name: string | undefined) => void)[] = [];
  private readonly closed = new AbortController();

  /**
   * @param nodeName the `host` of each container
   */
  constructor(
    private readonly engine: Engine,
    private readonly nodeName: string,
    private readonly log: Logger,
  ) {
    engine.onContainerNotFound = () => this.invalidate();
  }

  /** Follows the engine's events until `close`, and reconnects when the connection breaks. */
  async watch(): Promise<void> {
    while (!this.closed.signal.aborted) {
      try {
        const filters = JSON.stringify({ type: ["container"], event: LIST_EVENTS });
        const events = await this.engine.stream("GET", "/events", { query: { filters }, signal: this.closed.signal });
        this.invalidate();
        this.watching = true;
        await this.follow(events);
      } catch (error) {
        this.log.debug("Engine events not followed", { reason: (error as Error).message });
      }
      this.watching = false;
      this.tellName(undefined);
      this.engine.invalidatePing();
      this.invalidate();
      await sleep(RECONNECT_PAUSE_MS, undefined, { signal: this.closed.signal, ref: false }).catch(() => undefined);
    }
  }

  private async follow(events: IncomingMessage): Promise<void> {
    const names = new NameEvents();
    for await (const chunk of events) {
      this.invalidate();
      for (const name of names.read(chunk)) this.tellName(name);
    }
  }

  private tellName(name: string | undefined): void {
    for (const listener of this.nameListeners) listener(name);
  }

  close(): void {
    this.closed.abort();
  }

  /** @param listener called at every change, by this process or others */
  onChange(listener: () => void): void {
    this.listeners.push(listener);
  }

  /**
   * @param listener called with each name that a container gets, its alias included; undefined stands for any name, because the engine's
   *   events are no longer followed
   */
  onNameGiven(listener: (name: string | undefined) => void): void {
    this.nameListeners.push(listener);
  }

  /** Whether `onNameGiven` reports every name. */
  get followsNames(): boolean {
    return this.watching;
  }

  /** Counts the changes that this process and the engine's events have told of; undefined while the events aren't followed. */
  get changes(): number | undefined {
    return this.watching ? this.generation : undefined;
  }

  /** To be called after every change by this process, before its request is answered. */
  invalidate(): void {
    this.generation += 1;
    this.snapshot = undefined;
    this.exactMatches.clear();
    for (const listener of this.listeners) listener();
  }

  /**
   * Reads the containers, from the cache if possible. Concurrent reads share one request.
   * @throws AppError ENGINE_UNREACHABLE
   */
  async read(): Promise<Snapshot> {
    if (this.currentSnapshot) return this.currentSnapshot;
    if (this.pendingRead?.generation === this.generation && this.watching) return this.pendingRead.result;
    const generation = this.generation;
    const result = this.fetchSnapshot(generation);
    const pendingRead = { generation, result };
    this.pendingRead = pendingRead;
    try {
      return await result;
    } finally {
      if (this.pendingRead === pendingRead) this.pendingRead = undefined;
    }
  }

  private get currentSnapshot(): Snapshot | undefined {
    return this.snapshot && performance.now() - this.snapshot.at < MAX_AGE_MS ? this.snapshot : undefined;
  }

  private async fetchSnapshot(generation: number): Promise<Snapshot> {
    const at = performance.now();
    await this.engine.assertAlive();
    const infos = await this.engine.call((docker) => docker.listContainers({ all: true }));
    const containers = infos.map((info) => toSummary(info, this.nodeName));
    const json = Buffer.from(JSON.stringify(containers));
    const snapshot = { containers, json, version: createHash("sha256").update(json).digest("base64url"), followed: this.watching };
    if (this.watching && generation === this.generation) this.snapshot = { ...snapshot, generation, at };
    return snapshot;
  }

  /**
   * Finds the container with this name or full id, else the managed one with this alias, else those whose id begins with it (12 hex digits
   * or more).
   * @throws AppError ENGINE_UNREACHABLE
   */
  async findMatches(id: string): Promise<Matches> {
    await this.engine.assertAlive();
    const known = this.exactMatches.get(id);
    const cached = matchById(known ? [known] : (this.currentSnapshot?.containers ?? []), id);
    if (cached.exact.length > 0) return cached;
    // A container that was just created by another process may exist before its event arrives.
    const { generation } = this;
    let fetched = matchById(await this.fetchMatching(id), id);
    while (fetched.exact.length === 0 && this.replacedNames.has(id)) {
      await sleep(REPLACEMENT_POLL_MS);
      fetched = matchById(await this.fetchMatching(id), id);
    }
    if (fetched.exact[0] && this.watching && generation === this.generation) this.exactMatches.set(id, fetched.exact[0]);
    return fetched;
  }

  /**
   * Waits until the engine no longer lists a container in any of these states, which it has left: engines list some changes later than
   * they tell of them. One that is in such a state again is waited for in vain, for a second.
   * @param id full id
   */
  async waitUntilLeft(id: string, states: readonly string[]): Promise<void> {
    const deadline = AbortSignal.timeout(CHANGE_LISTED_MS);
    while (!deadline.aborted && (await this.fetchMatching(id)).some(({ state }) => states.includes(state))) await sleep(CHANGE_POLL_MS);
    this.invalidate();
  }

  /** While `work` replaces the container of these names, lookups wait until they find the old or the new one. */
  async whileReplacing(names: readonly string[], work: () => Promise<void>): Promise<void> {
    for (const name of names) this.replacedNames.add(name);
    try {
      await work();
    } finally {
      for (const name of names) this.replacedNames.delete(name);
    }
  }

  /**
   * Refuses a name that a container here has, or that is the alias of a managed one.
   * @throws AppError NAME_TAKEN
   */
  async assertFree(name: string): Promise<void> {
    const [named, labelled] = await Promise.all([this.readFiltered(nameFilter(name)), this.readFiltered(aliasFilter(name))]);
    if (this.replacedNames.has(name) || matchById([...named, ...labelled], name).exact.length > 0) throw nameTaken(name);
  }

  // With many containers a filtered list is far cheaper for the engine than the whole one.
  private async fetchMatching(id: string): Promise<ContainerSummary[]> {
    for (const filters of filtersFor(id)) {
      const found = await this.readFiltered(filters);
      if (found.length > 0) return found;
    }
    return [];
  }

  /** The containers that match filters of the engine, as it lists them now. */
  async readFiltered(filters: Record<string, string[]>): Promise<ContainerSummary[]> {
    const infos = await this.engine.call((docker) => docker.listContainers({ all: true, filters }));
    return infos.map((info) => toSummary(info, this.nodeName));
  }

  /**
   * Finds one container by its exact name or full id, else by a prefix of the id of at least 12 hex digits.
   * @param id name or id
   * @param options.prefix whether a prefix is accepted
   * @throws AppError CONTAINER_NOT_FOUND; AMBIGUOUS_ID with the candidates
   */
  async find(id: string, options: { prefix: boolean }): Promise<ContainerSummary> {
    return onlyMatch(id, await this.findMatches(id), options);
  }

  /**
   * Finds one container as `find` does and inspects it. For one with this name or full id the engine is asked once.
   * @throws AppError CONTAINER_NOT_FOUND; AMBIGUOUS_ID with the candidates
   */
  async findAndInspect(id: string, options: { prefix: boolean }): Promise<ContainerInspectInfo> {
    const inspect = (idOrName: string) => this.engine.call((docker) => docker.getContainer(idOrName).inspect());
    await this.engine.assertAlive();
    const inspected = await inspect(id).catch((error: Error) => {
      if (isUnavailable(error)) throw error;
      return undefined;
    });
    // The engine also takes prefixes of ids, of any length.
    if (inspected && (inspected.Id === id || inspected.Name === `/${id}`)) return inspected;
    const found = await this.find(id, options);
    return found.id === inspected?.Id ? inspected : inspect(found.id);
  }
}

/** @throws AppError CONTAINER_NOT_FOUND; AMBIGUOUS_ID with the candidates */
export function onlyMatch(id: string, { exact, prefix }: Matches, options: { prefix: boolean }): ContainerSummary {
  if (exact[0]) return exact[0];
  if (options.prefix && prefix.length > 1)
    throw new AppError("AMBIGUOUS_ID", { details: { candidates: prefix.map((container) => container.id) } });
  if (options.prefix && prefix[0]) return prefix[0];
  throw new AppError("CONTAINER_NOT_FOUND", { message: `No such container: ${id}`, details: { id } });
}

/** The engine matches names by regular expression. */
const nameFilter = (name: string) => ({ name: [`^/?${name.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")}$`] });

const aliasFilter = (alias: string) => ({ label: [`${ALIAS_LABEL}=${alias}`] });

/** Filters of the engine's list to try in this order. The engine matches ids by prefix. */
function filtersFor(id: string): Record<string, string[]>[] {
  const byName = nameFilter(id);
  if (/^[0-9a-f]{64}$/.test(id)) return [{ id: [id] }, byName];
  return /^[0-9a-f]{12,63}$/.test(id) ? [byName, { id: [id] }] : [byName, aliasFilter(id)];
}

/** The containers that a name or an id means, among these. */
export function matchById(containers: readonly ContainerSummary[], id: string): Matches {
  const named = containers.filter((container) => container.name === id || container.id === id);
  const exact = named.length > 0 ? named : containers.filter((container) => hasAlias(container, id));
  const prefix = /^[0-9a-f]{12,63}$/.test(id) ? containers.filter((container) => container.id.startsWith(id)) : [];
  return { exact, prefix };
}
