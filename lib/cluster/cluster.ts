import { randomUUID, X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { createSecureContext } from "node:tls";
import type { Logger } from "../support/logger";
import { Members } from "./membership/members";
import type { NodeRecord } from "./membership/record";
import { openStore, type StoreSettings } from "./membership/store/open-store";
import { callPeer, callPeers, type LocalHost, type Pool, wasStarted } from "./pool";
import { ContainerCache } from "./routing/container-cache";
import { clusterDispatch } from "./routing/dispatch";
import { ListLeases } from "./routing/list-leases";
import type { Dispatch } from "./routing/routed-request";
import { rpcHandlers } from "./rpc/methods";
import { PeerClient, type PeerTls } from "./rpc/peer-client";
import { RpcServer } from "./rpc/rpc-server";
import { Signatures } from "./rpc/signatures";
import { Bidder, type Inventory } from "./scheduling/bidder";
import { type Load, readLoad } from "./scheduling/load";
import { NameClaims } from "./scheduling/name-claims";
import { Scheduler } from "./scheduling/scheduler";
import { loadOf, type Needs } from "./scheduling/scoring";

export interface ClusterSettings extends StoreSettings {
  cluster_key: string | null;
  token: string[];
  refresh_rate: number;
  cache_interval: number;
  /** ms */
  peer_timeout: number;
  peer_ca: string | null;
  peer_servername: string | null;
  https: boolean;
  https_cert: string;
  /** seconds */
  queue_wait: number;
  queue_length: number;
  run_wait: number;
  run_concurrency: number;
  /** seconds */
  run_max_time: number;
  pull_wait: number;
}

/** What the cluster must know of this host. */
export interface HostFacts extends LocalHost {
  inventory(needs: Needs): Promise<Inventory>;
  /** runs that are under way, and that wait their turn */
  runs(): { running: number; waiting: number };
  /** version of the engine and number of containers; throws if the engine doesn't answer */
  state(): Promise<{ docker: string; containers: number }>;
}

export interface Cluster {
  dispatch: Dispatch;
  names: NameClaims;
  pool: Pool;
  signatures: Signatures;
  /** Where other nodes' links come in. */
  links: RpcServer;
  /** This node's record as it is now. */
  record(): Promise<NodeRecord>;
  /** Learns who is there: before it listens, or it would answer for all nodes without knowing any. */
  meet(): Promise<void>;
  start(): Promise<void>;
  /** Withdraws this node and says goodbye to the others; requests under way can still reach them. */
  leave(): Promise<void>;
  close(): void;
}

/** How often (ms) this machine's load is measured. */
const MEASURE_INTERVAL = 2000;
/** How much of a new reading counts: a burst of starts must not look like a busy machine. */
const WEIGHT = 0.15;
const NOTHING: Needs = { image: "none", pull: "always", ports: [], volumes: [], memory: 0, cpus: 0, slot: false };

/**
 * Puts the cluster's side of this node together.
 * @param self its name
 * @param url where peers reach it
 * @throws Error if a store or a certificate authority can't be used as the settings say
 */
export function openCluster(settings: ClusterSettings, self: string, url: string, version: string, host: HostFacts, log: Logger): Cluster {
  const signatures = new Signatures(settings.cluster_key ? [settings.cluster_key] : settings.token);
  const client = new PeerClient(self, signatures, peerTls(settings));
  let load: Load | undefined;
  const measure = async () => {
    load = settle(load, await readLoad());
  };
  const bidder = new Bidder(self, host.inventory, () => load ?? { cpu: 0, memory: 0 }, settings.run_concurrency);
  const identity = randomUUID();
  let sequence = 0;

  async function record(): Promise<NodeRecord> {
    sequence += 1;
    const state = await host.state().catch(() => undefined);
    const bid = await bidder.bid(NOTHING);
    return {
      name: self,
      url,
      sequence,
      process: identity,
      version,
      docker: state?.docker ?? null,
      engine: state ? "ok" : "down",
      containers: state?.containers ?? 0,
      runs: host.runs(),
      load: loadOf(bid),
    };
  }

  const probe = async (peer: Parameters<typeof callPeer>[1]) => {
    await callPeer(pool, peer, "ping", {});
  };
  const rates = { name: self, refreshRate: settings.refresh_rate, cacheInterval: settings.cache_interval };
  const members = new Members(openStore(settings, log), signatures, rates, record, probe, log);
  const pool: Pool = { self, host, members, client, peerTimeout: settings.peer_timeout, log };
  const poolList = new ContainerCache(pool);
  const leases = new ListLeases(async (node) => {
    const holder = members.peers.find(({ name }) => name === node);
    if (holder)
      await callPeer(pool, holder, "changed", {}).catch((error: Error) =>
        log.debug("a node can't be told", { node, reason: error.message }),
      );
  });
  host.onChange(() => leases.changed());
  const names = new NameClaims(
    (name, claim, late) => callPeers(pool, "name", { name, claim, late }, { missingToo: late }),
    async (name, started) => (await host.find(name)).exact.some((found) => !started || wasStarted(found)),
  );
  const left = (settings.run_wait + settings.pull_wait + settings.run_max_time + 10) * 1000;
  const placer = new Scheduler(pool, bidder, { queueWait: settings.queue_wait * 1000, queueLength: settings.queue_length, left });
  const links = new RpcServer(self, signatures, rpcHandlers({ host, members, bidder, names, leases, poolList, record }), log);
  let timer: NodeJS.Timeout | undefined;

  return {
    dispatch: clusterDispatch(pool, poolList, leases, placer, left),
    names,
    pool,
    signatures,
    record,
    meet: () => members.meet(),
    async start() {
      await measure();
      timer = setInterval(
        () => void measure().catch((error: Error) => log.debug("the load can't be measured", { reason: error.message })),
        MEASURE_INTERVAL,
      ).unref();
      await members.start();
      // At a reload the process before this one may overwrite its record once more, and leave: nobody is to take that for the node's.
      await callPeers(pool, "join", { record: await record(), predecessor: members.predecessor });
    },
    async leave() {
      clearInterval(timer);
      await members.stop();
      await callPeers(pool, "leave", { process: identity, predecessor: members.predecessor });
    },
    links,
    close: () => client.close(),
  };
}

function settle(before: Load | undefined, now: Load): Load {
  if (!before) return now;
  return { cpu: before.cpu + WEIGHT * (now.cpu - before.cpu), memory: now.memory };
}

// One Let's Encrypt certificate often serves all nodes, which reach each other by address: its own name is what is expected.
function peerTls(settings: ClusterSettings): () => PeerTls {
  const secureContext = createSecureContext();
  // Beside the system's roots; as the option `ca` it would replace them.
  if (settings.peer_ca !== null) secureContext.context.addCACert(certificates(settings.peer_ca));
  let own: string | undefined;
  return () => {
    if (settings.https && settings.peer_servername === null) own = ownName(settings.https_cert) ?? own;
    const servername = settings.peer_servername ?? own;
    return { secureContext, ...(servername ? { servername } : {}) };
  };
}

/** @throws Error if the file holds no certificate */
function certificates(file: string): string {
  const pem = readFileSync(file, "utf8");
  new X509Certificate(pem);
  return pem;
}

/** The first DNS name of a certificate; undefined if it has none, or if a renewal is just putting it into its place. */
function ownName(file: string): string | undefined {
  try {
    const { subjectAltName = "" } = new X509Certificate(readFileSync(file));
    return /DNS:([^,\s]+)/.exec(subjectAltName)?.[1]?.replace(/^\*\./, "node.");
  } catch {
    return undefined;
  }
}
