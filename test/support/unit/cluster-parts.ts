import { Access } from "../../../lib/access/access";
import { NO_USE } from "../../../lib/access/quota";
import type { Found, Holding } from "../../../lib/cluster/local-host";
import type { Members } from "../../../lib/cluster/membership/members";
import { Peer } from "../../../lib/cluster/membership/peer";
import type { NodeRecord } from "../../../lib/cluster/membership/record";
import type { Pool } from "../../../lib/cluster/pool";
import { LocationHints } from "../../../lib/cluster/routing/location-hints";
import type { RoutedRequest } from "../../../lib/cluster/routing/routed-request";
import { here } from "../../../lib/cluster/routing/where";
import type { PeerCall, PeerClient } from "../../../lib/cluster/rpc/peer-client";
import { PeerFailure } from "../../../lib/cluster/rpc/peer-failure";
import type { Needs } from "../../../lib/cluster/scheduling/bid";
import type { Logger } from "../../../lib/support/logger";
import { Reply } from "../../../lib/support/reply";
import { quietLog } from "./quiet-log";

/** The record of a healthy node. */
export function recordOf(name: string, fields: Partial<NodeRecord> = {}): NodeRecord {
  const plain = {
    sequence: 1,
    process: "first",
    version: "1",
    docker: "20.10",
    engine: "ok" as const,
    containers: 0,
    runs: { running: 0, waiting: 0 },
    load: 0,
  };
  return { name, url: `http://${name.replace(/\W/g, "")}:8080`, ...plain, ...fields };
}

export const peerOf = (name: string) => new Peer(recordOf(name));

/** The failure of a call to a peer that refuses connections. */
export const noAnswer = (node: string, healthNeutral = false) => new PeerFailure(node, `${node} refused`, false, healthNeutral);

export const NEEDS: Needs = { image: "busybox", pull: "missing", ports: [], volumes: [], memory: 0, cpus: 0, slot: false };

export function foundOf(fields: Partial<Found> = {}): Found {
  return { id: "a".repeat(64), name: "web", state: "running", labels: {}, ...fields };
}

interface PoolParts {
  peers?: readonly Peer[];
  /** containers of this node that match a reference */
  own?: () => Promise<Holding>;
  /** list of all containers of this node */
  list?: Pool["host"]["list"];
  /** a peer's answer to an RPC call */
  ask?: (peer: Peer, method: string, params: unknown) => Promise<unknown>;
  /** a peer's response to a forwarded request */
  send?: (peer: Peer, call: PeerCall) => Promise<unknown>;
  peerTimeout?: number;
  /** names of nodes that were stopped */
  left?: string[];
  log?: Logger;
}

const NOTHING_USED = { settled: NO_USE, pending: [] };
const nothingListed: Pool["host"]["list"] = async () => ({ version: "1", json: Buffer.from("[]"), followed: true });
const refuse = async (peer: Peer) => Promise.reject(noAnswer(peer.name));

/** Node `n0` and its peers, whose answers the test defines. By default every peer refuses. */
export function poolOf(parts: PoolParts): Pool {
  const { peers = [], own, list = nothingListed, ask = refuse, send = refuse, peerTimeout = 1000, left = [], log = quietLog().log } = parts;
  return {
    nodeName: "n0",
    host: {
      find: own ?? (async () => ({ exact: [], prefix: [] })),
      list,
      onChange: () => undefined,
      onNameGiven: () => undefined,
      followsNames: () => true,
      answerName: async () => ({ taken: false }),
      holdsVolume: async () => false,
      countUse: async () => NOTHING_USED,
    },
    members: { peers, allPeers: peers, storeWasRead: true, recentlyLeft: new Map(left.map((name) => [name, true])) } as unknown as Members,
    client: { call: ask, send, knowsReceiver: () => true } as unknown as PeerClient,
    hints: new LocationHints(),
    peerTimeoutMs: peerTimeout,
    log,
  };
}

/** A client's request that this node handles itself. */
export function requestOf(fields: Partial<RoutedRequest> = {}): RoutedRequest {
  return {
    where: here,
    method: "GET",
    url: "/",
    headers: {},
    identity: "somebody",
    access: Access.full,
    peer: undefined,
    pinnedNode: undefined,
    id: undefined,
    query: {},
    explain: false,
    clientSignal: new AbortController().signal,
    streamSignal: new AbortController().signal,
    readBody: async () => ({}),
    readsBody: false,
    upgrade: false,
    rawBody: undefined as unknown as RoutedRequest["rawBody"],
    runHere: async () => new Reply(200, { done: "here" }),
    ...fields,
  };
}
