import type { IncomingMessage } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import type { ContainerInfo } from "dockerode";
import { AppError } from "../errors";
import type { Logger } from "../support/logger";
import type { Engine } from "./engine";

export interface PortSummary {
  host_ip?: string;
  host?: number;
  container: number;
  protocol: string;
}

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
}

/** "Up 3 minutes" ages without any event, so a list is never older than this (ms). */
const MAX_AGE = 1000;
const RECONNECT_PAUSE = 500;
/** The events after which the list differs. Others, such as a health check's exec, come all the time and change nothing. */
const EVENTS = [
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
  private kept: (Snapshot & { generation: number; at: number }) | undefined;
  private reading: { generation: number; result: Promise<Snapshot> } | undefined;
  private watching = false;
  private readonly closed = new AbortController();

  /**
   * @param engine whose containers
   * @param host the node's name, answered with each container
   */
  constructor(
    private readonly engine: Engine,
    private readonly host: string,
    private readonly log: Logger,
  ) {}

  /** Follows the engine's events until `close`, reconnecting for as long as it takes. */
  async watch(): Promise<void> {
    while (!this.closed.signal.aborted) {
      try {
        const filters = JSON.stringify({ type: ["container"], event: EVENTS });
        const events = await this.engine.stream("GET", "/events", { query: { filters }, signal: this.closed.signal });
        this.changed();
        this.watching = true;
        await this.follow(events);
      } catch (error) {
        this.log.debug("the engine's events can't be followed", { reason: (error as Error).message });
      }
      this.watching = false;
      this.engine.doubt();
      this.changed();
      await sleep(RECONNECT_PAUSE, undefined, { signal: this.closed.signal, ref: false }).catch(() => undefined);
    }
  }

  private async follow(events: IncomingMessage): Promise<void> {
    for await (const _ of events) this.changed();
  }

  close(): void {
    this.closed.abort();
  }

  /** To be called after every own change, before it is answered. */
  changed(): void {
    this.generation += 1;
    this.kept = undefined;
  }

  /**
   * The containers as they are now.
   * @throws AppError ENGINE_UNREACHABLE
   */
  async read(): Promise<Snapshot> {
    if (this.kept && performance.now() - this.kept.at < MAX_AGE) return this.kept;
    if (this.reading?.generation === this.generation && this.watching) return this.reading.result;
    const generation = this.generation;
    const result = this.ask(generation);
    const mine = { generation, result };
    this.reading = mine;
    try {
      return await result;
    } finally {
      if (this.reading === mine) this.reading = undefined;
    }
  }

  private async ask(generation: number): Promise<Snapshot> {
    const at = performance.now();
    await this.engine.assertAlive();
    const infos = await this.engine.call((docker, abortSignal) => docker.listContainers({ all: true, abortSignal }));
    const containers = infos.map((info) => summary(info, this.host));
    const snapshot = { containers, json: Buffer.from(JSON.stringify(containers)) };
    if (this.watching && generation === this.generation) this.kept = { ...snapshot, generation, at };
    return snapshot;
  }

  /**
   * Finds one container: by its name or full id exactly, else, if that is allowed, by a prefix of at least 12 hex digits.
   * @param id name or id
   * @param options.prefix whether a prefix will do
   * @throws AppError CONTAINER_NOT_FOUND; AMBIGUOUS_ID with the candidates
   */
  async find(id: string, options: { prefix: boolean }): Promise<ContainerSummary> {
    const known = this.kept ?? this.reading;
    const found = lookUp((await this.read()).containers, id, options.prefix);
    if (found) return found;
    if (known) {
      // What was just made elsewhere may be there before its event is.
      this.changed();
      const again = lookUp((await this.read()).containers, id, options.prefix);
      if (again) return again;
    }
    throw new AppError("CONTAINER_NOT_FOUND", { message: `No such container: ${id}`, details: { id } });
  }
}

function lookUp(containers: ContainerSummary[], id: string, prefix: boolean): ContainerSummary | undefined {
  const exact = containers.find((container) => container.name === id || container.id === id);
  if (exact || !prefix || !/^[0-9a-f]{12,63}$/.test(id)) return exact;
  const matches = containers.filter((container) => container.id.startsWith(id));
  if (matches.length > 1) throw new AppError("AMBIGUOUS_ID", { details: { candidates: matches.map((container) => container.id) } });
  return matches[0];
}

function summary(info: ContainerInfo, host: string): ContainerSummary {
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
