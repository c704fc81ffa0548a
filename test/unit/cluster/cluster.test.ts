import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { Access } from "../../../lib/access/access";
import { type Cluster, type ClusterSettings, openCluster } from "../../../lib/cluster/cluster";
import { encodeRecord } from "../../../lib/cluster/membership/record";
import { Signatures } from "../../../lib/cluster/rpc/signatures";
import type { Metrics } from "../../../lib/http/metrics";
import type { RouteCall } from "../../../lib/http/route";
import { nodeRoutes } from "../../../lib/routes/nodes";
import { statusRoutes } from "../../../lib/routes/status";
import { putRecord, recordFile } from "../../support/records";
import { recordOf } from "../../support/unit/cluster-parts";
import { quietLog } from "../../support/unit/quiet-log";

const signatures = new Signatures(["key"]);
let folder: string;
const clusters: Cluster[] = [];
beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), "docker-server-node-"));
});
afterEach(() => {
  for (const cluster of clusters.splice(0)) cluster.close();
  rmSync(folder, { recursive: true });
});

/** A process of the node n1, which doesn't listen. */
function openNode(): Cluster {
  const settings = { cluster_key: ["key"], token: [], folder, s3: null, redis: null, refresh_rate: 30_000, cache_interval: 30_000 };
  const host = {
    onChange: () => undefined,
    onNameGiven: () => undefined,
    state: async () => ({ docker: "28", engineId: "id", containers: 0 }),
    runs: () => ({ running: 0, waiting: 0 }),
    inventory: async () => Promise.reject(new Error("not asked")),
  };
  const cluster = openCluster({
    settings: { ...settings, peer_ca: null, peer_timeout: 1000, accept: true, public_url: null } as unknown as ClusterSettings,
    nodeName: "n1",
    url: "http://n1:1",
    version: "1",
    host: host as never,
    log: quietLog().log,
  });
  clusters.push(cluster);
  return cluster;
}

describe("a recorded request of another node", () => {
  const claim = { from: "n0", to: "n1", method: "DELETE", url: "/web", caller: "anna", left: 1000 };
  const verify = (cluster: Cluster, header: string) => cluster.verifyRequest(claim.method, claim.url, header);

  test("is accepted once by the process that it was signed for, and not by the one after a restart", async () => {
    const before = openNode();
    const { process } = await before.record();
    const recorded = signatures.signRequest({ ...claim, process, at: performance.timeOrigin + performance.now() + 1 });
    expect(verify(before, recorded)).toMatchObject({ caller: "anna" });
    expect(verify(before, recorded)).toBeUndefined();
    expect(verify(openNode(), recorded)).toBeUndefined();
  });

  test("without a time is refused, if the other node is not known as one of an earlier version", () => {
    expect(verify(openNode(), signatures.signRequest(claim))).toBeUndefined();
  });
});

describe("a node tells at /nodes and /healthz", () => {
  const call = { access: Access.full } as RouteCall;

  /** What both routes answer about the pool. */
  async function told(cluster: Cluster) {
    const engine = { assertAlive: async () => undefined, call: async () => ({ Version: "28" }) };
    const docker = { engine, cliCheck: { refresh: async () => undefined } };
    const managed = { compose: { version: async () => "2" } };
    const service = { name: "docker-server", version: "1", host: "n1" };
    const status = statusRoutes(docker as never, managed as never, service, {} as Metrics, cluster, () => false);
    const routes = [...nodeRoutes(cluster), ...status].filter(({ path: at }) => at === "/nodes" || at === "/healthz");
    const answers = (await Promise.all(routes.map(({ handler }) => handler(call)))) as { complete: boolean; warnings: string[] }[];
    return answers.map(({ complete, warnings }) => ({ complete, warnings }));
  }

  test("that all is not complete until the store was read", async () => {
    const cluster = openNode();
    expect(await told(cluster)).toEqual(Array(2).fill({ complete: false, warnings: [] }));
    await cluster.discover();
    expect(await told(cluster)).toEqual(Array(2).fill({ complete: true, warnings: [] }));
  });

  test("that another node has its name", async () => {
    const cluster = openNode();
    await cluster.discover();
    await cluster.start();
    const other = recordOf("n1", { process: "of another machine", url: "http://elsewhere:1" });
    putRecord(recordFile(folder, "n1"), encodeRecord(other, signatures));
    await cluster.discover();
    const warnings = [expect.stringContaining("Another node at http://elsewhere:1 has this node's name, n1")];
    expect(await told(cluster)).toEqual(Array(2).fill({ complete: true, warnings }));
    await cluster.leave();
  });
});
