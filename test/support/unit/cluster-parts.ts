import type { Members } from "../../../lib/cluster/membership/members";
import { Peer } from "../../../lib/cluster/membership/peer";
import type { NodeRecord } from "../../../lib/cluster/membership/record";
import type { Found, Holding, Pool } from "../../../lib/cluster/pool";
import type { RoutedRequest } from "../../../lib/cluster/routing/routed-request";
import { here } from "../../../lib/cluster/routing/where";
import type { PeerCall, PeerClient } from "../../../lib/cluster/rpc/peer-client";
import { PeerFailure } from "../../../lib/cluster/rpc/peer-failure";
import type { Needs } from "../../../lib/cluster/scheduling/scoring";
import { Reply } from "../../../lib/support/reply";
import { quietLog } from "./quiet-log";

/** A record as a node in good health publishes it. */
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

/** What the client of peers throws when one gives no answer. */
export const noAnswer = (node: string, blameless = false) => new PeerFailure(node, `${node} refused`, false, blameless);

export const NEEDS: Needs = { image: "busybox", pull: "missing", ports: [], volumes: [], memory: 0, cpus: 0, slot: false };

export function foundOf(fields: Partial<Found> = {}): Found {
  return { id: "a".repeat(64), name: "web", state: "running", labels: {}, ...fields };
}

interface PoolParts {
  peers?: readonly Peer[];
  /** what this node holds */
  own?: () => Promise<Holding>;
  /** all that this node holds */
  list?: Pool["host"]["list"];
  /** a peer's answer to a question */
  ask?: (peer: Peer, question: string, body: unknown) => Promise<unknown>;
  /** a peer's answer to a request that is sent on */
  send?: (peer: Peer, call: PeerCall) => Promise<unknown>;
  peerTimeout?: number;
}

const nothingListed: Pool["host"]["list"] = async () => ({ version: "1", json: Buffer.from("[]"), followed: true });
const nobody = async (peer: Peer) => Promise.reject(noAnswer(peer.name));

/** Node `n0` among peers of which the test says what they answer. */
export function poolOf({ peers = [], own, list = nothingListed, ask = nobody, send = nobody, peerTimeout = 1000 }: PoolParts): Pool {
  return {
    self: "n0",
    host: { find: own ?? (async () => ({ exact: [], prefix: [] })), list, onChange: () => undefined, holdsVolume: async () => false },
    members: { peers } as unknown as Members,
    client: { ask, send } as unknown as PeerClient,
    peerTimeout,
    log: quietLog().log,
  };
}

/** A client's request, of which this host would answer `here`. */
export function exchangeOf(fields: Partial<RoutedRequest> = {}): RoutedRequest {
  return {
    where: here,
    method: "GET",
    url: "/",
    headers: {},
    caller: "somebody",
    from: undefined,
    node: undefined,
    id: undefined,
    query: {},
    explain: false,
    clientSignal: new AbortController().signal,
    streamSignal: new AbortController().signal,
    body: async () => ({}),
    readsBody: false,
    upgrade: false,
    raw: undefined as unknown as RoutedRequest["raw"],
    local: async () => new Reply(200, { done: "here" }),
    ...fields,
  };
}
