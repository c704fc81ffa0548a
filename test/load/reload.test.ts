import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { hasEnded } from "../../scripts/bed-cleanup";
import { until } from "../../scripts/process";
import { startCluster, type TestCluster } from "../support/cluster";
import { becomesComplete, startContainer, uniqueName } from "../support/cluster-containers";
import { startPoolLoad } from "../support/cluster-load";
import { buildEarlier, replaceDist } from "../support/earlier-build";
import { type Engine, leaseEngine } from "../support/engine";
import { startHaproxy } from "../support/haproxy";
import { importBusybox } from "../support/images";
import { installPm2, type Pm2 } from "../support/pm2";
import { freePorts } from "../support/ports";
import { ask, type TestServer, TOKEN } from "../support/server";

const DEADLINE_MS = 30_000;
const ROOT = path.resolve(__dirname, "../..");

const installedDist = (pm2: Pm2) => path.join(path.dirname(pm2.config), "dist");

describe("three nodes, each kept up by pm2, behind haproxy", () => {
  let folder: string;
  let engines: Engine[];
  let managers: Pm2[] = [];
  let servers: { url: string }[];
  let balancer: Awaited<ReturnType<typeof startHaproxy>>;
  beforeAll(async () => {
    folder = mkdtempSync(path.join(tmpdir(), "docker-server-reload-"));
    engines = await Promise.all(["n1", "n2", "n3"].map((name) => leaseEngine({ name })));
    await Promise.all(engines.map((engine) => importBusybox(engine)));
    managers = await Promise.all(engines.map(() => installPm2()));
    const earlier = await buildEarlier(path.join(folder, "earlier"));
    for (const manager of managers) replaceDist(installedDist(manager), earlier);
    const ports = await freePorts(engines.length);
    servers = ports.map((port) => ({ url: `http://127.0.0.1:${port}` }));
    await Promise.all(
      engines.map(async ({ name, dockerHost }, index) => {
        const config = path.join(folder, `${name}.json`);
        const url = servers[index]?.url;
        // The intervals of writing and reading the store keep their defaults, as in production.
        const settings = { cluster: true, folder: path.join(folder, "store"), node_name: name, advertise: url, token: [TOKEN] };
        writeFileSync(config, JSON.stringify({ ...settings, low_burst: 0, mid_burst: 0, high_burst: 0 }));
        const pm2 = managers[index] as Pm2;
        const env = { DS_CONFIG: config, DS_PORT: String(ports[index]), DOCKER_HOST: dockerHost };
        expect((await pm2.pm2(["start", pm2.config], env)).code).toBe(0);
      }),
    );
    balancer = await startHaproxy(servers as TestServer[]);
    expect(await until(isWhole, DEADLINE_MS)).toBe(true);
  });
  afterAll(async () => {
    await balancer?.stop();
    await Promise.all(managers.map((pm2) => pm2.stop()));
    await Promise.all(engines.map((engine) => engine.stop()));
    rmSync(folder, { recursive: true, force: true });
  });

  async function isWhole(): Promise<boolean> {
    const views = await Promise.all(servers.map(({ url }) => ask(url, "GET", "/nodes")));
    return views.every(({ json }) => json.complete && json.nodes.length === engines.length);
  }

  test("reloaded one after the other with a newer build under load: no request fails, no list lacks a node or a container", async () => {
    const held = engines.map(({ name }) => uniqueName(`held-${name}`));
    for (const [index, { name }] of engines.entries()) {
      const json = { image: "busybox", name: held[index], detach: true, data: "sleep 100000" };
      expect((await ask(balancer.url, "PUT", `/?node=${name}`, { json })).status).toBe(200);
    }
    const load = startPoolLoad(balancer.url, held, { nodes: engines.length });
    try {
      expect(await load.grows(100)).toBe(true);
      for (const pm2 of managers) {
        const [before] = await pm2.list();
        replaceDist(installedDist(pm2), path.join(ROOT, "dist"));
        expect((await pm2.pm2(["reload", "docker-server"])).code).toBe(0);
        expect(await load.grows(150)).toBe(true);
        expect(await until(() => hasEnded(before?.pid ?? 0), DEADLINE_MS)).toBe(true);
        expect(await load.grows(150)).toBe(true);
      }
    } finally {
      await load.end();
    }
    expect(load.wrong).toEqual([]);
    expect(await isWhole()).toBe(true);
  });
});

describe("three nodes behind haproxy", () => {
  let cluster: TestCluster;
  let balancer: Awaited<ReturnType<typeof startHaproxy>>;
  beforeAll(async () => {
    cluster = await startCluster({ size: 3 });
    balancer = await startHaproxy(cluster.nodes.map(({ server }) => server));
  });
  afterAll(async () => {
    await balancer?.stop();
    await cluster?.stop();
  });

  test("stopped by SIGTERM and started again one after the other under load: no request about the other nodes fails", async () => {
    for (const node of cluster.nodes) {
      const others = cluster.nodes.filter((other) => other !== node);
      const held = await Promise.all(
        others.map(async (other) => (await startContainer(other, { name: uniqueName("held") }, other.name)).name),
      );
      // No runs: a run may be placed on the stopping node, and its container is unreachable until the node is back.
      const load = startPoolLoad(balancer.url, held, { runs: false });
      try {
        expect(await load.grows(100)).toBe(true);
        await node.server.stop("SIGTERM");
        expect(await load.grows(100)).toBe(true);
        await cluster.restart(node);
        expect(await load.grows(100)).toBe(true);
      } finally {
        await load.end();
      }
      expect(load.wrong).toEqual([]);
      expect(await becomesComplete(cluster)).toBe(true);
    }
  });

  test("while a node stops, and while it is away, every run that comes is placed", async () => {
    const [node] = cluster.nodes;
    const wrong: string[] = [];
    let placed = 0;
    let running = true;
    const client = async () => {
      while (running) {
        const json = { image: "busybox", detach: true, network: "none", data: "sleep 100000" };
        const { status, text } = await ask(balancer.url, "PUT", "/", { json });
        placed += 1;
        if (status !== 200) wrong.push(`${status} ${text}`);
      }
    };
    const clients = [client(), client()];
    const grows = (by: number) => {
      const goal = placed + by;
      return until(() => placed >= goal, DEADLINE_MS);
    };
    expect(await grows(10)).toBe(true);
    await node?.server.stop("SIGTERM");
    expect(await grows(10)).toBe(true);
    if (node) await cluster.restart(node);
    expect(await grows(10)).toBe(true);
    running = false;
    await Promise.all(clients);
    expect(wrong).toEqual([]);
  });
});
