import { Access } from "../access/access";
import type { Logger } from "../support/logger";
import type { LocalHost } from "./local-host";
import type { Members } from "./membership/members";
import type { Peer } from "./membership/peer";
import type { LocationHints } from "./routing/location-hints";
import { type FanOutResult, fanOut } from "./rpc/fan-out";
import type { RpcMethod, RpcParams, RpcResult } from "./rpc/methods";
import { assertEnforces, type PeerClient } from "./rpc/peer-client";

/** This node and its peers, and how they are called. */
export interface Pool {
  /** this node's name */
  nodeName: string;
  host: LocalHost;
  members: Pick<Members, "peers" | "allPeers" | "storeWasRead" | "recentlyLeft">;
  client: PeerClient;
  hints: LocationHints;
  /** how long a peer may take to answer an RPC call */
  peerTimeoutMs: number;
  log: Logger;
  /** of the client whose request this is about; absent for the node's own work */
  access?: Access;
}

/**
 * The pool as a client's token lets it be used: without the nodes that the token doesn't name. A node that doesn't enforce all caveats
 * of the token is missing in it.
 */
export function poolOf(pool: Pool, access: Access): Pool {
  if (access.isFull) return pool;
  const { peers, allPeers, storeWasRead, recentlyLeft } = pool.members;
  const isNamed = ({ name }: Peer) => access.allowsNode(name);
  const members = { peers: peers.filter(isNamed), allPeers: allPeers.filter(isNamed), storeWasRead, recentlyLeft };
  return { ...pool, access, members };
}

/** Whether this node itself may be used. */
export function includesSelf({ access = Access.full, nodeName }: Pool): boolean {
  return access.allowsNode(nodeName);
}

/** Names of the nodes that may be used, this node's first. */
export function nodeNames(pool: Pool): string[] {
  return [...(includesSelf(pool) ? [pool.nodeName] : []), ...pool.members.allPeers.map(({ name }) => name)];
}

/** Names of the nodes that left within the hour, and are not back, of those that may be used. */
export function namesOfLeft({ members, access = Access.full }: Pool): string[] {
  return [...members.recentlyLeft.keys()].filter((name) => access.allowsNode(name));
}

/**
 * Calls a method of one peer for each engine, in parallel.
 * @param options.includeMissing see `fanOut`
 */
export function callPeers<M extends RpcMethod>(
  pool: Pool,
  method: M,
  params: RpcParams<M>,
  options?: { includeMissing?: boolean },
): Promise<FanOutResult<RpcResult<M>>> {
  return fanOut(pool.members.peers, (peer) => callPeer(pool, peer, method, params), options);
}

/** Calls a method of all peers in parallel, also of those that use one engine. */
export function callAllPeers<M extends RpcMethod>(pool: Pool, method: M, params: RpcParams<M>): Promise<FanOutResult<RpcResult<M>>> {
  return fanOut(pool.members.allPeers, (peer) => callPeer(pool, peer, method, params));
}

/**
 * Makes sure that requests to a peer are signed for its present process: it tells its process and clock in answers to RPC calls.
 * A peer that doesn't answer is left to the request itself to notice.
 */
export async function learnReceiver(pool: Pool, peer: Peer): Promise<void> {
  if (!pool.client.knowsReceiver(peer)) await callPeer(pool, peer, "ping", {}).catch(() => undefined);
}

/**
 * Calls a method of one peer.
 * @throws PeerFailure
 */
export async function callPeer<M extends RpcMethod>(pool: Pool, peer: Peer, method: M, params: RpcParams<M>): Promise<RpcResult<M>> {
  if (pool.access) assertEnforces(peer, pool.access);
  return pool.client.call(peer, method, params, pool.peerTimeoutMs);
}
