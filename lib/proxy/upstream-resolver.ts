import { isIP } from "node:net";
import { LRUCache } from "lru-cache";
import type { Peer } from "../cluster/membership/peer";
import type { Pool } from "../cluster/pool";
import { MISSES, watchPeer } from "../cluster/routing/forward";
import { findOwners } from "../cluster/routing/locate";
import type { ContainerSummary } from "../docker/containers/container-list";
import { upstream } from "../docker/containers/published-port";
import type { DockerHost } from "../docker/docker-host";
import { AppError } from "../errors";
import type { Target } from "./connections";
import { type Asked, inQuery, joined, withoutPair } from "./proxy-path";
import type { Guard } from "./relay";

/** Where a request goes on to. */
export interface Way {
  target: Target;
  /** for its Host header */
  host: string;
  /** path and query that are asked of it */
  url: string;
  /** the node that holds the container, if it is another */
  peer: Peer | undefined;
  guard: Guard | undefined;
}

/** What was found is good for so long (ms), unless this node's containers change or it fails. */
const KEPT = 1000;
/** So long (ms) a connection may lie idle. Many servers keep theirs for a few seconds only; nodes do for longer. */
const IDLE = { container: 1000, node: 30_000 };

/** Finds the way to a container's published port, wherever in the pool it is. */
export class UpstreamResolver {
  private readonly found = new LRUCache<string, Promise<(asked: Asked) => Way>>({ max: 1000, ttl: KEPT });

  /** @param pool the other nodes, if there are any */
  constructor(
    private readonly docker: Pick<DockerHost, "containers" | "engine">,
    private readonly pool: Pool | undefined,
  ) {
    docker.containers.onChange(() => this.found.clear());
  }

  /**
   * @param hop another node has sent this: the container is here or nowhere
   * @throws AppError CONTAINER_NOT_FOUND; AMBIGUOUS_ID; NODES_MISSING; NOT_RUNNING; NO_PORT; UPSTREAM_UNREACHABLE
   */
  async find(asked: Asked, hop: boolean): Promise<Way> {
    const port = inQuery(asked.query, "port");
    const node = inQuery(asked.query, "node");
    const key = `${hop} ${asked.id} ${port ?? ""} ${node ?? ""}`;
    const known = this.found.get(key);
    if (known) return (await known)(asked);
    const finding = hop || !this.pool ? this.findHere(asked.id, port) : this.findInPool(this.pool, asked.id, port, node);
    this.found.set(key, finding);
    finding.catch(() => this.found.delete(key));
    return (await finding)(asked);
  }

  /** What was found has failed. */
  forget(): void {
    this.found.clear();
  }

  private async findHere(id: string, port: string | undefined): Promise<(asked: Asked) => Way> {
    const container = await this.docker.containers.find(id, { prefix: true });
    const chosen = choice(container, port);
    const { host, port: reached } = await upstream(this.docker.engine, container.id, chosen);
    const address = isIP(host) === 6 ? `[${host}]:${reached}` : `${host}:${reached}`;
    const target = { key: `${container.id} ${address}`, idle: IDLE.container, options: { host, port: reached } };
    return ({ path, query }) => {
      const url = joined(path, chosen === undefined ? query : withoutPair(query, "port"));
      return { target, host: address, url, peer: undefined, guard: undefined };
    };
  }

  private async findInPool(pool: Pool, id: string, port: string | undefined, wanted: string | undefined) {
    const { owners } = await findOwners(pool, id, { prefix: true });
    const nodes = [...new Set(owners.map(({ node }) => node))];
    const pinned = nodes.length > 1 && nodes.includes(wanted ?? "");
    if (nodes.length > 1 && !pinned) throw new AppError("AMBIGUOUS_ID", { details: { candidates: nodes } });
    const node = pinned ? wanted : nodes[0];
    const strip = (asked: Asked): Asked => (pinned ? { ...asked, query: withoutPair(asked.query, "node") } : asked);
    if (node === pool.self) {
      const here = await this.findHere(id, port);
      return (asked: Asked) => here(strip(asked));
    }
    const peer = pool.members.peers.find(({ name }) => name === node);
    if (!peer) throw new AppError("NODE_NOT_FOUND", { message: `No such node: ${node}` });
    const { url } = peer.record;
    const target = { key: `node ${peer.name} ${url}`, idle: IDLE.node, options: pool.client.connectOptions(peer) };
    const guard: Guard = (begun, dead) => watchPeer(pool, peer, begun ? MISSES : 1, dead);
    return (asked: Asked): Way => {
      const { prefix, path, query } = strip(asked);
      return { target, host: new URL(url).host, url: prefix + joined(path, query), peer, guard };
    };
  }
}

/** The port that a query chooses: only of a container that publishes several, and only one of these. In any other case it is the container's own. */
function choice({ ports }: ContainerSummary, asked: string | undefined): number | undefined {
  const published = new Set(ports.filter((port) => port.host && port.protocol === "tcp").map(({ container }) => container));
  return published.size > 1 && asked !== undefined && published.has(Number(asked)) ? Number(asked) : undefined;
}
