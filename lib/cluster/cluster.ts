import nodeCluster from "node:cluster";
import { randomUUID } from "node:crypto";
import { ENFORCED_CAVEATS } from "../access/caveats";
import type { NodeUse } from "../access/quota";
import type { Logger } from "../support/logger";
import type { LocalHost } from "./local-host";
import { Members } from "./membership/members";
import type { NodeRecord } from "./membership/record";
import { SharedEngines, sharedEngineWarnings } from "./membership/shared-engines";
import { openStore, type StoreSettings } from "./membership/store/open-store";
import { callAllPeers, callPeer, callPeers, type Pool } from "./pool";
import { ContainerCache } from "./routing/container-cache";
import { clusterDispatch } from "./routing/dispatch";
import { ListLeases } from "./routing/list-leases";
import { LocationHints } from "./routing/location-hints";
import { LookupLeases } from "./routing/lookup-leases";
import type { Dispatch } from "./routing/routed-request";
import type { FanOutResult } from "./rpc/fan-out";
import { rpcHandlers } from "./rpc/handlers";
import type { RpcParams } from "./rpc/methods";
import { PeerClient } from "./rpc/peer-client";
import { type PeerTlsSettings, peerTls } from "./rpc/peer-tls";
import { ReplayGuard } from "./rpc/replay-guard";
import { RpcServer } from "./rpc/rpc-server";
import { type PeerRequest, Signatures } from "./rpc/signatures";
import type { Needs } from "./scheduling/bid";
import { Bidder, type Inventory } from "./scheduling/bidder";
import { type Load, readLoad } from "./scheduling/load";
import { Scheduler } from "./scheduling/scheduler";
import { loadOf } from "./scheduling/scoring";

export interface ClusterSettings extends StoreSettings, PeerTlsSettings {
  cluster_key: string[];
  token: string[];
  refresh_rate: number;
  cache_interval: number;
  /** ms */
  peer_timeout: number;
  /** seconds */
  queue_wait: number;
  queue_length: number;
  run_wait: number;
  run_concurrency: number;
  /** seconds */
  run_max_time: number;
  stop_timeout: number;
  pull_wait: number;
  accept: boolean;
  public_url: string | null;
}

/** What the cluster needs to know about this host. */
export interface HostFacts extends LocalHost {
  inventory(needs: Needs): Promise<Inventory>;
  /** POST /run requests that are running, and that wait for a slot */
  runs(): { running: number; waiting: number };
  /** version and id of the engine and number of containers; rejects if the engine doesn't answer */
  state(): Promise<{ docker: string; engineId: string; containers: number }>;
  /** Creates a volume, and removes it when `use` has settled. */
  withVolume(name: string, use: () => Promise<void>): Promise<void>;
}

export interface Cluster {
  dispatch: Dispatch;
  /** Asks all other nodes that can be reached whether they have a container of a name. */
  askName(name: string, claim: string, late: boolean): Promise<FanOutResult<{ taken: boolean }>>;
  /** Asks all other nodes what their containers with these labels use. */
  askUse(labels: Record<string, string>): Promise<FanOutResult<NodeUse>>;
  /** See `Scheduler.rankNodes`. */
  rankNodes: Scheduler["rankNodes"];
  pool: Pool;
  signatures: Signatures;
  /** Verifies the signature header of another node's request; undefined if it isn't valid or was used before. */
  verifyRequest(method: string, url: string, header: string): PeerRequest | undefined;
  /** Accepts the RPC connections of other nodes. */
  rpcServer: RpcServer;
  /** Makes this node's record as of now. */
  record(): Promise<NodeRecord>;
  /** Lets this node take new work or not, until its process ends. */
  setAccepting(accepting: boolean): void;
  /** Whether the store was read since the start: before that, nodes may be missing that this one has not heard of. */
  storeWasRead(): boolean;
  /** What is wrong with the pool, in sentences: nodes that use one engine or have one name, records that can't be read. */
  warnings(): string[];
  /** Number of the other nodes, by whether they answer. */
  nodes(): Record<"reachable" | "missing", number>;
  /** Runs that wait on this node until any node has room. */
  waiting(): number;
  /** Reads the members. Must come before this node listens: it would answer for the whole pool without knowing the other nodes. */
  discover(): Promise<void>;
  /** Publishes this node and joins the others. */
  start(): Promise<void>;
  /** Withdraws this node and leaves the others; requests in progress can still reach them. */
  leave(): Promise<void>;
  /** Closes the connections to other nodes. */
  close(): void;
}

export interface ClusterDeps {
  settings: ClusterSettings;
  /** this node's */
  nodeName: string;
  /** where peers reach this node */
  url: string;
  /** of this program */
  version: string;
  host: HostFacts;
  log: Logger;
}

const LOAD_INTERVAL_MS = 2000;
/** Weight of a new CPU reading in the moving average: a burst of container starts must not look like a busy machine. */
const CPU_READING_WEIGHT = 0.15;
/** Added to the time in which the previous process may finish requests: until this one is ready. */
const RELOAD_MARGIN_MS = 30_000;
/** Added to the time that a run may take, for the requests between nodes. */
const FORWARD_MARGIN_SECONDS = 10;
/** A bid for this is the node's load without any run. */
const NO_NEEDS: Needs = { image: "none", pull: "always", ports: [], volumes: [], memory: 0, cpus: 0, slot: false };

/**
 * Wires the cluster side of this node.
 * @throws Error if the store or the certificate authority of the settings can't be used
 */
export function openCluster({ settings, nodeName, url, version, host, log }: ClusterDeps): Cluster {
  const signatures = new Signatures(settings.cluster_key.length > 0 ? settings.cluster_key : settings.token);
  // During a reload under pm2, notices to this node may reach its previous process.
  const hints = new LocationHints(nodeCluster.isWorker ? settings.stop_timeout * 1000 + RELOAD_MARGIN_MS : 0);
  const client = new PeerClient(nodeName, signatures, peerTls(settings), () => hints.forget());
  let load: Load | undefined;
  const measureLoad = async () => {
    load = smoothLoad(load, await readLoad());
  };
  const bidder = new Bidder({
    nodeName,
    inventory: host.inventory,
    load: () => load ?? { cpu: 0, memory: 0 },
    slotCount: settings.run_concurrency,
  });
  bidder.accepting = settings.accept;
  const processId = randomUUID();
  let sequence = 0;
  let engineId: string | undefined;

  async function ownRecord(): Promise<NodeRecord> {
    sequence += 1;
    const state = await host.state().catch(() => undefined);
    engineId = state?.engineId ?? engineId;
    const bid = await bidder.bid(NO_NEEDS);
    return {
      name: nodeName,
      url,
      ...(settings.public_url === null ? {} : { public_url: settings.public_url }),
      sequence,
      process: processId,
      version,
      docker: state?.docker ?? null,
      engine: state ? "ok" : "down",
      containers: state?.containers ?? 0,
      runs: host.runs(),
      load: loadOf(bid),
      ...load,
      accepting: bidder.accepting,
      timed: true,
      ...(engineId === undefined ? {} : { engine_id: engineId }),
      same_engine: sharedEngines.names(members.allPeers),
      enforces: [...ENFORCED_CAVEATS],
    };
  }

  const sharedEngines = new SharedEngines({
    nodeName,
    engineId: () => engineId,
    withVolume: host.withVolume,
    peerHasVolume: async (peer, name) => (await callPeer(pool, peer, "volume", { name })).held,
    log,
  });
  const members: Members = new Members({
    store: openStore(settings, log),
    signatures,
    settings: { nodeName, refreshIntervalMs: settings.refresh_rate, readIntervalMs: settings.cache_interval },
    ownRecord,
    probe: async (peer) => void (await callPeer(pool, peer, "ping", {})),
    sharedEngines,
    onChange: () => hints.forget(),
    log,
  });
  const pool: Pool = { nodeName, host, members, client, hints, peerTimeoutMs: settings.peer_timeout, log };
  const containerCache = new ContainerCache(pool);
  const tellPeer = async <M extends "changed" | "named">(node: string, method: M, params: RpcParams<M>) => {
    const peer = members.allPeers.find(({ name }) => name === node);
    if (!peer) return;
    await callPeer(pool, peer, method, params).catch((error: Error) =>
      log.debug("Container change not delivered", { peer: node, reason: error.message }),
    );
  };
  const leases = new ListLeases((node) => tellPeer(node, "changed", {}));
  const lookupLeases = new LookupLeases((node, name) => void tellPeer(node, "named", name === undefined ? {} : { name }));
  host.onChange(() => leases.notifyChanged());
  host.onNameGiven((name) => {
    hints.forget(name);
    lookupLeases.notifyNamed(name);
  });
  const runWaitMs = (settings.run_wait + settings.pull_wait + settings.run_max_time + FORWARD_MARGIN_SECONDS) * 1000;
  const scheduler = new Scheduler({
    pool,
    bidder,
    settings: { queueWaitMs: settings.queue_wait * 1000, queueLength: settings.queue_length, runWaitMs },
  });
  const replayGuard = new ReplayGuard({
    process: processId,
    acceptsUntimed: (peer) => members.acceptsUntimed(peer),
    sharesPort: nodeCluster.isWorker,
  });
  const handlers = rpcHandlers({ host, members, bidder, leases, containerCache, lookupLeases, hints, ownRecord });
  let loadTimer: NodeJS.Timeout | undefined;

  return {
    dispatch: clusterDispatch({ pool, containerCache, leases, scheduler, forwardTimeoutMs: runWaitMs }),
    askName: (name, claim, late) => callPeers(pool, "name", { name, claim, late }, { includeMissing: late }),
    askUse: (labels) => callPeers(pool, "use", { labels }),
    rankNodes: (...asked) => scheduler.rankNodes(...asked),
    pool,
    signatures,
    verifyRequest(method, requestUrl, header) {
      const claim = signatures.verifyRequest(header, { method, url: requestUrl, to: nodeName });
      return claim && replayGuard.accept(claim) ? claim : undefined;
    },
    rpcServer: new RpcServer(nodeName, signatures, handlers, log, replayGuard),
    record: ownRecord,
    setAccepting(accepting) {
      bidder.accepting = accepting;
      log.info("Acceptance of new work set", { accepting });
    },
    storeWasRead: () => members.storeWasRead,
    nodes() {
      const missing = members.allPeers.filter(({ missingReason }) => missingReason !== undefined).length;
      return { reachable: members.allPeers.length - missing, missing };
    },
    waiting: () => scheduler.waiting,
    warnings() {
      const own = { name: nodeName, same_engine: sharedEngines.names(members.allPeers) };
      return [...sharedEngineWarnings([own, ...members.allPeers.map(({ record }) => record)]), ...members.warnings];
    },
    async discover() {
      // The engine's id must be known before the members are compared with it.
      await ownRecord();
      await members.discover();
    },
    async start() {
      await measureLoad();
      loadTimer = setInterval(
        () => void measureLoad().catch((error: Error) => log.debug("Load measurement failed", { reason: error.message })),
        LOAD_INTERVAL_MS,
      ).unref();
      await members.start();
      // During a reload this node's previous process may publish its record again, and leave: the peers must ignore both.
      await callAllPeers(pool, "join", { record: await ownRecord(), predecessor: members.predecessor });
    },
    async leave() {
      clearInterval(loadTimer);
      await members.stop();
      await callAllPeers(pool, "leave", { process: processId, predecessor: members.predecessor });
    },
    close: () => client.close(),
  };
}

function smoothLoad(before: Load | undefined, now: Load): Load {
  if (!before) return now;
  return { cpu: before.cpu + CPU_READING_WEIGHT * (now.cpu - before.cpu), memory: now.memory };
}
