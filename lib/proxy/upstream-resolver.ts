import { LRUCache } from "lru-cache";
import type { Access } from "../access/access";
import type { Peer } from "../cluster/membership/peer";
import { learnReceiver, type Pool, poolOf } from "../cluster/pool";
import { MAX_MISSED_PINGS, watchPeer } from "../cluster/routing/frozen-peer";
import { locateContainer } from "../cluster/routing/locate";
import { assertEnforces } from "../cluster/rpc/peer-client";
import type { ContainerSummary } from "../docker/containers/container-list";
import { findUpstream } from "../docker/containers/published-port";
import type { DockerHost } from "../docker/docker-host";
import { AppError } from "../errors";
import { toUrlHost } from "../support/url-host";
import type { UpstreamEndpoint } from "./connection-pool";
import { joinPathAndQuery, type ProxyTarget, queryValue, withoutQueryPair } from "./proxy-path";
import type { WatchUpstream } from "./relay";

/** Where one request is sent. */
export interface ResolvedUpstream {
  /** full id of the container */
  containerId: string;
  endpoint: UpstreamEndpoint;
  /** for the Host header */
  host: string;
  /** request target: path and query */
  target: string;
  /** the node that holds the container; undefined if it is this one */
  peer: Peer | undefined;
  watchUpstream: WatchUpstream | undefined;
}

/** Makes the upstream of each request to the same container and port; `exact`: another node must not take another container of the name. */
type UpstreamFactory = (target: ProxyTarget, exact: boolean) => ResolvedUpstream;

/** A cached location is dropped earlier if a container of this node changes or a request to it fails. */
const CACHE_TTL_MS = 1000;
/** Many servers keep idle connections for only a few seconds; nodes keep theirs for longer. */
const IDLE_TIMEOUT_MS = { container: 1000, node: 30_000 };

/** Resolves a container's published port, on this node or anywhere in the pool. */
export class UpstreamResolver {
  private readonly cache = new LRUCache<string, Promise<UpstreamFactory>>({ max: 1000, ttl: CACHE_TTL_MS });

  /** @param pool the other nodes; undefined without a cluster */
  constructor(
    private readonly docker: Pick<DockerHost, "containers" | "confinement" | "engine">,
    private readonly pool: Pool | undefined,
    private readonly nodeName: string,
  ) {
    docker.containers.onChange(() => this.cache.clear());
  }

  /**
   * Resolves the upstream of a request.
   * @param options.fromPeer another node has forwarded the request: the container is looked for on this node only
   * @param options.exact the request is for this very container, and not for one that is made anew under its name meanwhile
   * @param options.access what the client may do
   * @throws AppError CONTAINER_NOT_FOUND; AMBIGUOUS_ID; NODES_MISSING; NODE_NOT_FOUND; NOT_RUNNING; NO_PORT; UPSTREAM_UNREACHABLE
   */
  async resolve(target: ProxyTarget, options: { fromPeer: boolean; exact: boolean; access: Access }): Promise<ResolvedUpstream> {
    const { fromPeer, exact, access } = options;
    const port = queryValue(target.query, "port");
    const nodeName = queryValue(target.query, "node");
    const key = `${fromPeer} ${target.id} ${port ?? ""} ${nodeName ?? ""} ${access.key}`;
    const cached = this.cache.get(key);
    if (cached) return (await cached)(target, exact);
    const resolving =
      fromPeer || !this.pool
        ? this.resolveLocal(target.id, port, access)
        : this.resolveInPool(poolOf(this.pool, access), target.id, port, nodeName, access);
    this.cache.set(key, resolving);
    resolving.catch(() => this.cache.delete(key));
    return (await resolving)(target, exact);
  }

  /** Drops all cached locations, after a request to one has failed. */
  invalidate(): void {
    this.cache.clear();
  }

  private async resolveLocal(name: string, requestedPort: string | undefined, access: Access): Promise<UpstreamFactory> {
    access.assertNode(this.nodeName);
    const resolve = async () => {
      const id = access.labels ? await this.docker.confinement.containerId(name, access.labels, { prefix: true }) : name;
      const container = await this.docker.containers.find(id, { prefix: true });
      const chosenPort = choosePort(container, requestedPort);
      return { container, chosenPort, ...(await findUpstream(this.docker.engine, container.id, chosenPort)) };
    };
    // A container that was found in memory may be gone, and another have its name: the second lookup asks the engine.
    const { container, chosenPort, host, port } = await resolve().catch((error: unknown) => {
      if (error instanceof AppError && error.code === "CONTAINER_NOT_FOUND" && error.cause !== undefined) return resolve();
      throw error;
    });
    const address = `${toUrlHost(host)}:${port}`;
    const endpoint: UpstreamEndpoint = {
      poolKey: `${container.id} ${address}`,
      idleTimeoutMs: IDLE_TIMEOUT_MS.container,
      connectOptions: { host, port },
    };
    return ({ path, query }) => {
      const target = joinPathAndQuery(path, chosenPort === undefined ? query : withoutQueryPair(query, "port"));
      return { containerId: container.id, endpoint, host: address, target, peer: undefined, watchUpstream: undefined };
    };
  }

  private async resolveInPool(
    pool: Pool,
    id: string,
    requestedPort: string | undefined,
    requestedNode: string | undefined,
    access: Access,
  ): Promise<UpstreamFactory> {
    const { owners } = await locateContainer(pool, id, { prefix: true });
    const nodeNames = [...new Set(owners.map(({ node }) => node))];
    const pinned = nodeNames.length > 1 && nodeNames.includes(requestedNode ?? "");
    if (nodeNames.length > 1 && !pinned) throw new AppError("AMBIGUOUS_ID", { details: { candidates: nodeNames } });
    const nodeName = pinned ? requestedNode : nodeNames[0];
    // A `node` parameter that chose the node is for this server; any other is the container's own.
    const withoutPin = (target: ProxyTarget): ProxyTarget =>
      pinned ? { ...target, query: withoutQueryPair(target.query, "node") } : target;
    if (nodeName === pool.nodeName) {
      const resolveTarget = await this.resolveLocal(id, requestedPort, access);
      return (target, exact) => resolveTarget(withoutPin(target), exact);
    }
    const peer = pool.members.allPeers.find(({ name }) => name === nodeName);
    if (!peer) throw new AppError("NODE_NOT_FOUND", { message: `No such node: ${nodeName}` });
    assertEnforces(peer, access);
    await learnReceiver(pool, peer);
    const { url } = peer.record;
    const containerId = (owners.find(({ node }) => node === nodeName) as (typeof owners)[0]).found.id;
    const endpoint: UpstreamEndpoint = {
      poolKey: `node ${peer.name} ${url}`,
      idleTimeoutMs: IDLE_TIMEOUT_MS.node,
      connectOptions: pool.client.connectOptions(peer),
    };
    const watchUpstream: WatchUpstream = (responseStarted, onDead) => watchPeer(pool, peer, responseStarted ? MAX_MISSED_PINGS : 1, onDead);
    return (target, exact) => {
      const { prefix, path, query } = withoutPin(target);
      const pathAtPeer = (exact ? `/proxy/${containerId}` : prefix) + joinPathAndQuery(path, query);
      return { containerId, endpoint, host: new URL(url).host, target: pathAtPeer, peer, watchUpstream };
    };
  }
}

/**
 * The container port that a `port` parameter chooses: only if the container publishes several and this is one of them.
 * Otherwise the parameter is the container's own, and the result undefined.
 */
function choosePort({ ports }: ContainerSummary, requestedPort: string | undefined): number | undefined {
  const published = new Set(ports.filter((port) => port.host && port.protocol === "tcp").map(({ container }) => container));
  return published.size > 1 && requestedPort !== undefined && published.has(Number(requestedPort)) ? Number(requestedPort) : undefined;
}
