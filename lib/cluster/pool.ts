import type { Logger } from "../support/logger";
import type { Members } from "./membership/members";
import type { Peer } from "./membership/peer";
import { fanOut, type Gathered } from "./rpc/fan-out";
import type { RpcMethod, RpcParams, RpcResults } from "./rpc/methods";
import type { PeerClient } from "./rpc/peer-client";

/** A container as another node's question finds it. */
export interface Found {
  id: string;
  name: string;
  state: string;
  labels: Record<string, string>;
}

/** Whether it was started, ended since or not: one that is only created, or on its way out, may be gone the next moment. */
export function wasStarted({ state }: Found): boolean {
  return state !== "created" && state !== "removing" && state !== "dead";
}

/** What one node holds under an id: under the very name or full id, else under the beginning of an id. */
export interface Holding {
  exact: Found[];
  prefix: Found[];
}

/** One node's containers: `json` only for those who don't hold that version yet. */
export interface ListAnswer {
  version: string;
  json?: string;
  /** ms since it was asked that this stays true, unless the node says `changed` */
  lease: number;
}

/** What the pool asks of this host's Docker. */
export interface LocalHost {
  find(id: string): Promise<Holding>;
  /** All its containers, as JSON; the version is another one whenever they are others, and if it is followed `onChange` tells so. */
  list(): Promise<{ version: string; json: Buffer; followed: boolean }>;
  onChange(tell: () => void): void;
  holdsVolume(name: string): Promise<boolean>;
}

/** The nodes as one: this one and its peers, and how they are asked. */
export interface Pool {
  /** this node's name */
  self: string;
  host: LocalHost;
  members: Members;
  client: PeerClient;
  /** ms that a peer may take to answer a question */
  peerTimeout: number;
  log: Logger;
}

/**
 * Asks all peers the same.
 * @param options.missingToo see `fanOut`
 */
export function callPeers<Q extends RpcMethod>(
  pool: Pool,
  question: Q,
  body: RpcParams<Q>,
  options?: { missingToo?: boolean },
): Promise<Gathered<RpcResults[Q]>> {
  return fanOut(pool.members.peers, (peer) => callPeer(pool, peer, question, body), options);
}

/** Asks one peer. */
export function callPeer<Q extends RpcMethod>(pool: Pool, peer: Peer, question: Q, body: RpcParams<Q>): Promise<RpcResults[Q]> {
  return pool.client.call(peer, question, body, pool.peerTimeout);
}
