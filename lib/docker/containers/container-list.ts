import { createHash } from "node:crypto";
import type { IncomingMessage } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import type { ContainerInfo } from "dockerode";
import { LRUCache } from "lru-cache";
import { AppError } from "../../errors";
import type { Logger } from "../../support/logger";
import type { Engine } from "../engine";

export interface PortSummary {
  host_ip?: string;
  host?: number;
  container: number;
  protocol: string;
}

/** The label of what `GET /containers` lists. */
export const MANAGED_LABEL = "dockapi.managed";

/** A container as `GET /` answers it. */
export interface ContainerSummary {
  /** 64 hex digits */
  id: string;
  name: string;
  image: string;
  command: string;
  /** ISO 8601 */
  created: string;
  /** created, running, paused, restarting, removing, exited or dead */
  state: string;
  /** for people, such as "Up 3 minutes" */
  status: string;
  ports: PortSummary[];
  labels: Record<string, string>;
  /** the node that holds it */
  host: string;
}

export interface Snapshot {
  containers: ContainerSummary[];
  /** The same as JSON, written once for all who ask. */
  json: Buffer;
  /** a hash of it */
  version: string;
  /** Whether `onChange` tells when it is others: not while the engine's events can't be followed. */
  followed: boolean;
}

interface Matches {
  exact: ContainerSummary[];
  prefix: ContainerSummary[];
}

/** "Up 3 minutes" ages without any event, so a list is never older than this (ms). */
const MAX_AGE_MS = 1000;
const RECONNECT_PAUSE_MS = 500;
/** How often (ms) a container is looked for that is just being replaced. */
const REPLACEMENT_POLL_MS = 20;
/** The events after which the list differs. Others, such as a health check's exec, come all the time and change nothing. */
const LIST_EVENTS = [
  "create",
  "start",
  "die",
  "stop",
  "kill",
  "destroy",
  "rename",
  "pause",
  "unpause",
  "restart",
  "update",
  "oom",
  "health_status",
];

/** All containers of this host, kept in memory for as long as that is true: until an event or an own change, a second at most. */
export class ContainerList {
  private generation = 0;
  private snapshot: (Snapshot & { generation: number; at: number }) | undefined;
  private pendingRead: { generation: number; result: Promise<Snapshot> } | undefined;
  /** Who was asked for by name or id since the last change: what is asked for once is asked for again. */
  private readonly exactMatches = new LRUCache<string, ContainerSummary>({ max: 1000 });
  /** Names whose container is just being replaced by another. */
  private readonly replacedNames = new Set<string>();
  private watching = false;
  private readonly listeners: (() => void)[] = [];
  private readonly closed = new AbortController();

  /**
   * @param engine whose containers
   * @param nodeName the node's name, answered with each container
   */
  constructor(
    private readonly engine: Engine,
    private readonly nodeName: string,
    private readonly log: Logger,
  ) {}

  /** Follows the engine's events until `close`, reconnecting for as long as it takes. */
  async watch(): Promise<void> {
    while (!this.closed.signal.aborted) {
      try {
        const filters = JSON.stringify({ type: ["container"], event: LIST_EVENTS });
        const events = await this.engine.stream("GET", "/events", { query: { filters }, signal: this.closed.signal });
        this.invalidate();
        this.watching = true;
        await this.follow(events);
      } catch (error) {
        this.log.debug("the engine's events can't be followed", { reason: (error as Error).message });
      }
      this.watching = false;
      this.engine.invalidatePing();
      this.invalidate();
      await sleep(RECONNECT_PAUSE_MS, undefined, { signal: this.closed.signal, ref: false }).catch(() => undefined);
    }
  }

  private async follow(events: IncomingMessage): Promise<void> {
    for await (const _ of events) this.invalidate();
  }

  close(): void {
    this.closed.abort();
  }

  /** @param tell called at every change, own or of others */
  onChange(tell: () => void): void {
    this.listeners.push(tell);
  }

  /** To be called after every own change, before it is answered. */
  invalidate(): void {
    this.generation += 1;
    this.snapshot = undefined;
    this.exactMatches.clear();
    for (const tell of this.listeners) tell();
  }

  /**
   * The containers as they are now.
   * @throws AppError ENGINE_UNREACHABLE
   */
  async read(): Promise<Snapshot> {
    if (this.snapshot && performance.now() - this.snapshot.at < MAX_AGE_MS) return this.snapshot;
    if (this.pendingRead?.generation === this.generation && this.watching) return this.pendingRead.result;
    const generation = this.generation;
    const result = this.fetchSnapshot(generation);
    const mine = { generation, result };
    this.pendingRead = mine;
    try {
      return await result;
    } finally {
      if (this.pendingRead === mine) this.pendingRead = undefined;
    }
  }

  private async fetchSnapshot(generation: number): Promise<Snapshot> {
    const at = performance.now();
    await this.engine.assertAlive();
    const infos = await this.engine.call((docker, abortSignal) => docker.listContainers({ all: true, abortSignal }));
    const containers = infos.map((info) => toSummary(info, this.nodeName));
    const json = Buffer.from(JSON.stringify(containers));
    const snapshot = { containers, json, version: createHash("sha256").update(json).digest("base64url"), followed: this.watching };
    if (this.watching && generation === this.generation) this.snapshot = { ...snapshot, generation, at };
    return snapshot;
  }

  /**
   * All that an id may mean: the container of that very name or full id, else those whose id begins with it (12 hex digits or more).
   * @throws AppError ENGINE_UNREACHABLE
   */
  async findMatches(id: string): Promise<Matches> {
    await this.engine.assertAlive();
    // Of what ages without an event, nothing matters here.
    const known = this.exactMatches.get(id);
    const kept = matchById(known ? [known] : (this.snapshot?.containers ?? []), id);
    if (kept.exact.length > 0) return kept;
    // What was just made elsewhere may be there before its event is.
    const { generation } = this;
    let asked = matchById(await this.fetchMatching(id), id);
    while (asked.exact.length === 0 && this.replacedNames.has(id)) {
      await sleep(REPLACEMENT_POLL_MS);
      asked = matchById(await this.fetchMatching(id), id);
    }
    if (asked.exact[0] && this.watching && generation === this.generation) this.exactMatches.set(id, asked.exact[0]);
    return asked;
  }

  /** Whoever asks for this name while the work replaces its container gets the one or the other. */
  async whileReplacing(name: string, work: () => Promise<void>): Promise<void> {
    this.replacedNames.add(name);
    try {
      await work();
    } finally {
      this.replacedNames.delete(name);
    }
  }

  // The engine puts together only what fits: with many containers that is far cheaper than the whole list.
  private async fetchMatching(id: string): Promise<ContainerSummary[]> {
    for (const filters of filtersFor(id)) {
      const infos = await this.engine.call((docker, abortSignal) => docker.listContainers({ all: true, filters, abortSignal }));
      if (infos.length > 0) return infos.map((info) => toSummary(info, this.nodeName));
    }
    return [];
  }

  /**
   * Finds one container: by its name or full id exactly, else, if that is allowed, by a prefix of at least 12 hex digits.
   * @param id name or id
   * @param options.prefix whether a prefix will do
   * @throws AppError CONTAINER_NOT_FOUND; AMBIGUOUS_ID with the candidates
   */
  async find(id: string, options: { prefix: boolean }): Promise<ContainerSummary> {
    const { exact, prefix } = await this.findMatches(id);
    if (exact[0]) return exact[0];
    if (options.prefix && prefix.length > 1)
      throw new AppError("AMBIGUOUS_ID", { details: { candidates: prefix.map((container) => container.id) } });
    if (options.prefix && prefix[0]) return prefix[0];
    throw new AppError("CONTAINER_NOT_FOUND", { message: `No such container: ${id}`, details: { id } });
  }
}

/** What finds a container in the engine's list, first what is exact: ids are matched by their beginning, names by a pattern. */
function filtersFor(id: string): Record<string, string[]>[] {
  const byName = { name: [`^/?${id.replaceAll(".", "\\.")}$`] };
  if (/^[0-9a-f]{64}$/.test(id)) return [{ id: [id] }, byName];
  return /^[0-9a-f]{12,63}$/.test(id) ? [byName, { id: [id] }] : [byName];
}

function matchById(containers: ContainerSummary[], id: string): Matches {
  const exact = containers.filter((container) => container.name === id || container.id === id);
  const prefix = /^[0-9a-f]{12,63}$/.test(id) ? containers.filter((container) => container.id.startsWith(id)) : [];
  return { exact, prefix };
}

function toSummary(info: ContainerInfo, host: string): ContainerSummary {
  const names = (info.Names ?? []).map((name) => name.replace(/^\//, ""));
  return {
    id: info.Id,
    // Links of other containers stand in the list too, as "other/alias".
    name: names.find((name) => !name.includes("/")) ?? names[0] ?? "",
    image: info.Image,
    command: info.Command,
    created: new Date(info.Created * 1000).toISOString(),
    state: info.State,
    status: info.Status,
    ports: (info.Ports ?? []).map((port) => ({
      ...(port.IP ? { host_ip: port.IP } : {}),
      ...(port.PublicPort ? { host: port.PublicPort } : {}),
      container: port.PrivatePort,
      protocol: port.Type,
    })),
    labels: info.Labels ?? {},
    host,
  };
}
