import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Access } from "../lib/access/access";
import { type Cluster, type ClusterSettings, openCluster } from "../lib/cluster/cluster";
import { encodeRecord } from "../lib/cluster/membership/record";
import { locateContainer } from "../lib/cluster/routing/locate";
import { everyNode } from "../lib/cluster/routing/where";
import { Signatures } from "../lib/cluster/rpc/signatures";
import { putRecord, recordFile } from "../test/support/records";
import { NEEDS, recordOf, requestOf } from "../test/support/unit/cluster-parts";
import { quietLog } from "../test/support/unit/quiet-log";
import { type PoolRow, poolTable } from "./report";
import { containerOfPeer, nameOfPeer, type PeerUse, SIMULATED_KEY, simulatedHost } from "./simulated-peers";

/** Nodes of the pool, the measured one included. */
const POOL_SIZES = [3, 10, 100, 1000];
/** Of each measurement, at least. */
const MEASURE_MS = 500;
const MIN_ROUNDS = 5;
/** After this time a list of a peer is asked for again. */
const LIST_LEASE_MS = 25;
const A_DAY_MS = 86_400_000;

/** The node that clients ask, in a pool of simulated others. */
class MeasuredNode {
  private constructor(
    private readonly nodes: number,
    private readonly cluster: Cluster,
    private readonly peers: ChildProcess,
    private readonly folder: string,
  ) {}

  static async start(nodes: number): Promise<MeasuredNode> {
    const folder = mkdtempSync(path.join(tmpdir(), "docker-server-bench-pool-"));
    const peers = fork(path.join(__dirname, "simulated-peers.ts"), [String(nodes - 1)]);
    const [ports] = (await once(peers, "message")) as [number[]];
    const signatures = new Signatures([SIMULATED_KEY]);
    for (const [index, port] of ports.entries()) {
      const name = nameOfPeer(index + 1);
      putRecord(recordFile(folder, name), encodeRecord(recordOf(name, { url: `http://127.0.0.1:${port}`, timed: true }), signatures));
    }
    const settings = {
      ...{ cluster_key: [SIMULATED_KEY], token: [], folder, s3: null, redis: null, peer_ca: null, public_url: null },
      ...{ refresh_rate: A_DAY_MS, cache_interval: A_DAY_MS, peer_timeout: 60_000, accept: true, queue_wait: 0, run_concurrency: 4 },
    } as unknown as ClusterSettings;
    const host = simulatedHost(0);
    const cluster = openCluster({ settings, nodeName: "n0", url: "http://127.0.0.1:1", version: "1", host, log: quietLog().log });
    await cluster.discover();
    return new MeasuredNode(nodes, cluster, peers, folder);
  }

  /** Measures each request. The connections to the other nodes are opened before. */
  async measureAll(): Promise<PoolRow[]> {
    const { cluster } = this;
    const { pool } = cluster;
    const last = containerOfPeer(this.nodes - 1);
    const list = () => cluster.dispatch(requestOf({ where: everyNode("list") }));
    const lookUp = (name: string) => locateContainer(pool, name, { prefix: true });
    let placed = 0;
    const place = async () => {
      placed += 1;
      const [best] = await cluster.rankNodes({ headers: {}, access: Access.full }, { name: "new", needs: NEEDS });
      if (best === undefined) throw new Error("no node takes the run");
      await cluster.askName(`new-${placed}`, "0", false);
    };
    await list();
    return [
      await this.measure("list", list, () => sleep(LIST_LEASE_MS + 5)),
      await this.measure("lookup by name, with a hint", () => lookUp(last)),
      await this.measure(
        "lookup by name, without",
        () => lookUp(last),
        async () => pool.hints.forget(),
      ),
      await this.measure("placement, with the claim of its name", place),
    ];
  }

  /** @param prepare is not counted; its CPU time is next to none */
  private async measure(title: string, work: () => Promise<unknown>, prepare?: () => Promise<unknown>): Promise<PoolRow> {
    await work();
    await this.peerUse();
    const startedAt = performance.now();
    const cpuBefore = process.cpuUsage();
    let rounds = 0;
    for (; rounds < MIN_ROUNDS || performance.now() - startedAt < MEASURE_MS; rounds++) {
      await prepare?.();
      await work();
    }
    const { user, system } = process.cpuUsage(cpuBefore);
    const { calls, cpuMs } = await this.peerUse();
    return { title, nodes: this.nodes, calls: calls / rounds, cpuMs: (user + system) / 1000 / rounds, otherCpuMs: cpuMs / rounds };
  }

  private async peerUse(): Promise<PeerUse> {
    this.peers.send("use");
    return (await once(this.peers, "message"))[0] as PeerUse;
  }

  stop(): void {
    this.cluster.close();
    this.peers.disconnect();
    rmSync(this.folder, { recursive: true });
  }
}

async function main(): Promise<void> {
  for (const nodes of POOL_SIZES) {
    const node = await MeasuredNode.start(nodes);
    process.stdout.write(poolTable(await node.measureAll().finally(() => node.stop())));
  }
}

main().catch((error: Error) => {
  process.stderr.write(`\nbench: ${error.stack}\n`);
  process.exit(1);
});
