import { AppError } from "../../errors";
import type { Reply } from "../../support/reply";
import type { Peer } from "../membership/peer";
import { type Pool, poolOf } from "../pool";
import { PeerFailure } from "../rpc/peer-failure";
import type { Scheduler } from "../scheduling/scheduler";
import type { ContainerCache } from "./container-cache";
import { forward, streamOf } from "./forward";
import type { ListLeases } from "./list-leases";
import { findPeer, locateContainer, locateVolume, reachPeer } from "./locate";
import { mergeBodies, mergeLists, mergeOutcomes, mergeOwners, worstOutcome } from "./merge";
import { mergeFindings } from "./merge-findings";
import { mergeTimelines } from "./merge-timelines";
import { type Dispatch, idempotencyKeyOf, type RoutedRequest } from "./routed-request";

export interface DispatchDeps {
  pool: Pool;
  /** The containers of all nodes. */
  containerCache: ContainerCache;
  /**
   * Leases of other nodes on this node's list: `settled` resolves when their holders know of all changes, so that a change that is
   * answered is visible through every node.
   */
  leases: ListLeases;
  scheduler: Scheduler;
  /** How long (ms) another node may take to reply to a forwarded request. */
  forwardTimeoutMs: number;
}

/** The dispatcher of a node in a cluster: decides for each request between this node, another node and all nodes. */
export function clusterDispatch(deps: DispatchDeps): Dispatch {
  return async (request) => {
    try {
      return await dispatch(deps, request);
    } catch (error) {
      throw error instanceof PeerFailure ? error.toAppError() : error;
    } finally {
      await deps.leases.settled();
    }
  };
}

async function dispatch(deps: DispatchDeps, request: RoutedRequest): Promise<Reply> {
  const { containerCache, scheduler, forwardTimeoutMs } = deps;
  const { where, access } = request;
  const pinnedNode = where.at === "node" ? request.id : request.pinnedNode;
  const pool = poolOf(deps.pool, access);
  if (where.at === "bestNode") {
    // Both the entry node and the node that runs it derive the plan: the forwarded body holds the name, and the same key gives the same name.
    const plan = where.plan(await request.readBody(), idempotencyKeyOf(request));
    return request.peer ? scheduler.runLocally(request, plan) : scheduler.run(request, plan);
  }
  // A forwarded request is never forwarded again.
  if (request.peer) return request.runHere();
  if (pinnedNode !== undefined) {
    if (pinnedNode === pool.nodeName) return request.runHere();
    return forwardTo(await reachPeer(pool, pinnedNode), pool, deps, request);
  }
  switch (where.at) {
    case "here":
    case "node":
      return request.runHere();
    case "everyNode":
      if (where.merge === "list") return access.isFull ? containerCache.read() : mergeLists(pool, request, forwardTimeoutMs);
      if (where.merge === "timeline") return mergeTimelines(pool, request, forwardTimeoutMs);
      if (where.merge === "findings") return mergeFindings(pool, request, forwardTimeoutMs);
      return where.merge === "outcomes"
        ? worstOutcome(pool, request, forwardTimeoutMs)
        : mergeBodies(pool, request, where.merge, forwardTimeoutMs);
    case "everyOutcome":
      return mergeOutcomes(pool, request, where.merge, forwardTimeoutMs);
    case "volume":
      return runOn(pool, deps, request, await locateVolume(pool, request.id ?? ""));
    case "owner": {
      const { owners } = await locateContainer(pool, request.id ?? "", { prefix: true });
      const nodes = nodesOf(owners);
      if (nodes.length > 1) throw new AppError("AMBIGUOUS_ID", { details: { candidates: nodes } });
      return runOn(pool, deps, request, nodes[0] as string);
    }
    case "owners": {
      const { owners, missing } = await locateContainer(pool, request.id ?? "", { prefix: where.prefix });
      return mergeOwners(nodesOf(owners), missing, (node) => runOn(pool, deps, request, node));
    }
  }
}

/** Distinct nodes: on one node the text can be the name of one container and the id of another. */
const nodesOf = (owners: { node: string }[]) => [...new Set(owners.map(({ node }) => node))];

function runOn(pool: Pool, deps: DispatchDeps, request: RoutedRequest, node: string): Promise<Reply> {
  return node === pool.nodeName ? request.runHere() : forwardTo(findPeer(pool, node), pool, deps, request);
}

async function forwardTo(peer: Peer, pool: Pool, { forwardTimeoutMs }: DispatchDeps, request: RoutedRequest): Promise<Reply> {
  return streamOf(peer, await forward(pool, peer, request, forwardTimeoutMs));
}
