import type { Logger } from "../support/logger";
import { fanOut, type Gathered } from "./fan-out";
import type { Members } from "./members";
import type { Peer } from "./peer";
import type { PeerCall, PeerClient } from "./peer-client";

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

/** What the pool asks of this host's Docker. */
export interface LocalHost {
  find(id: string): Promise<Holding>;
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
 * @param url path and query
 * @param body sent as JSON
 * @param options.missingToo see `fanOut`
 */
export function askPeers<T>(
  pool: Pool,
  method: string,
  url: string,
  body?: object,
  options?: { missingToo?: boolean },
): Promise<Gathered<T>> {
  return fanOut(pool.members.peers, (peer) => askPeer<T>(pool, peer, method, url, body), options);
}

/** Asks one peer. */
export function askPeer<T>(pool: Pool, peer: Peer, method: string, url: string, body?: object): Promise<T> {
  const bytes = body === undefined ? undefined : Buffer.from(JSON.stringify(body));
  const headers = bytes ? { "content-type": "application/json", "content-length": bytes.length } : {};
  const call: PeerCall = { method, url, headers, body: bytes, caller: "", left: pool.peerTimeout, timeout: pool.peerTimeout };
  return pool.client.ask<T>(peer, call);
}
