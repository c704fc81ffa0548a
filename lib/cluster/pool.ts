import type { Logger } from "../support/logger";
import type { LocalHost } from "./local-host";
import type { Members } from "./membership/members";
import type { Peer } from "./membership/peer";
import { type FanOutResult, fanOut } from "./rpc/fan-out";
import type { RpcMethod, RpcParams, RpcResult } from "./rpc/methods";
import type { PeerClient } from "./rpc/peer-client";

/** This node and its peers, and how they are called. */
export interface Pool {
  /** this node's name */
  nodeName: string;
  host: LocalHost;
  members: Members;
  client: PeerClient;
  /** how long a peer may take to answer an RPC call */
  peerTimeoutMs: number;
  log: Logger;
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
export function callPeer<M extends RpcMethod>(pool: Pool, peer: Peer, method: M, params: RpcParams<M>): Promise<RpcResult<M>> {
  return pool.client.call(peer, method, params, pool.peerTimeoutMs);
}
