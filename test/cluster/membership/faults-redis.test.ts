import { setTimeout as sleep } from "node:timers/promises";
import { createClient } from "redis";
import { until } from "../../../scripts/process";
import { ROOT_ADDRESS } from "../../support/bed";
import { startClients } from "../../support/clients";
import { startCluster, type TestCluster, type TestNode } from "../../support/cluster";
import { becomesComplete, listHeader, startContainer, uniqueName } from "../../support/cluster-containers";
import { type FlakyServer, startRedis } from "../../support/redis";

/** How long a record outlives its last publication, by nodes that publish every second. */
const EXPIRY_MS = 10_000;
const NAMES = ["n1", "n2", "n3"];

let cluster: TestCluster;
let redis: FlakyServer;
let flags: string[];
beforeAll(async () => {
  cluster = await startCluster({ size: 3 });
  redis = await startRedis(ROOT_ADDRESS);
  flags = ["--redis", `redis://${ROOT_ADDRESS}:${redis.port}`];
  await Promise.all(cluster.nodes.map((node) => node.server.stop("SIGKILL").then(() => cluster.restart(node, flags))));
  expect(await becomesComplete(cluster)).toBe(true);
});
afterAll(async () => {
  redis?.thaw();
  await cluster?.stop();
  await redis?.stop();
});

/** How many nodes have a record in the Redis. */
async function recorded(): Promise<number> {
  const client = createClient({ url: `redis://127.0.0.1:${redis.port}` });
  await client.connect();
  try {
    return (await client.keys("docker-server:node:*")).length;
  } finally {
    client.destroy();
  }
}

const LOG_MESSAGE = "Store unavailable";
/** How often a node has logged it. */
const complaints = ({ server }: TestNode) => server.output().split(LOG_MESSAGE).length - 1;

test.each<[string, { make(): Promise<void> | void; mend(): Promise<void> | void }]>([
  ["is killed, and restarts empty,", { make: () => redis.kill(), mend: () => redis.restart() }],
  ["is frozen", { make: () => redis.freeze(), mend: () => redis.thaw() }],
])(
  "clients do not notice a Redis that %s for longer than records last, and it is used again afterwards",
  async (_name, { make, mend }) => {
    const [n1, n2, n3] = cluster.nodes as [TestNode, TestNode, TestNode];
    const held = await Promise.all(NAMES.map(async (name) => (await startContainer(n1, { name: uniqueName("held") }, name)).name));
    expect(await recorded()).toBe(3);
    const before = cluster.nodes.map(complaints);
    const clients = startClients(cluster.nodes, { nodes: NAMES, containers: held as [string, ...string[]] });
    try {
      await make();
      expect(await until(() => cluster.nodes.every((node, index) => complaints(node) > (before[index] ?? 0)), 30_000)).toBe(true);
      await sleep(EXPIRY_MS + 5000);
      await mend();
      expect(await until(async () => (await recorded()) === 3, 30_000)).toBe(true);
      await sleep(2000);
    } finally {
      await clients.stop();
    }
    const { asked, wrong } = await clients.stop();
    expect(wrong).toEqual([]);
    expect(asked).toBeGreaterThan(100);

    // A node that starts now knows the others only from Redis.
    await n2.server.stop("SIGKILL");
    expect(listHeader(await n3.request("GET", "/"), "x-cluster-missing")).toEqual(["n2"]);
    await cluster.restart(n2, flags);
    expect(listHeader(await n2.request("GET", "/"), "x-cluster-nodes")).toEqual(NAMES);
    expect(await becomesComplete(cluster)).toBe(true);
    expect((await n2.request("POST", `/${held[0]}`, { json: { data: "true" } })).status).toBe(200);
  },
  120_000,
);
