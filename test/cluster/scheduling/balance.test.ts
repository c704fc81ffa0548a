import { startCluster, type TestCluster } from "../../support/cluster";
import { containerCounts, removeAllContainers, sleeper, startContainer } from "../../support/cluster-containers";
import { startHaproxy } from "../../support/haproxy";
import { ask } from "../../support/server";

let cluster: TestCluster;
let balancer: Awaited<ReturnType<typeof startHaproxy>>;
beforeAll(async () => {
  // 150 runs at once make this machine slow: a longer timeout keeps nodes from being marked missing.
  cluster = await startCluster({ size: 3, args: ["--peer_timeout=5000"] });
  balancer = await startHaproxy(cluster.nodes.map(({ server }) => server));
});
afterAll(async () => {
  await balancer.stop();
  await cluster.stop();
});
afterEach(() => removeAllContainers(cluster), 60_000);

/** Makes containers, and returns what failed. */
async function burst(count: number, concurrency: number): Promise<string[]> {
  const failures: string[] = [];
  let next = 0;
  const client = async () => {
    while (next++ < count) {
      const { status, text } = await ask(balancer.url, "PUT", "/", { json: sleeper({ network: "none" }) });
      if (status !== 200) failures.push(`${status} ${text}`);
    }
  };
  await Promise.all(Array.from({ length: concurrency }, client));
  return failures;
}

test("150 PUTs in a burst through haproxy spread within 10% of even", async () => {
  expect(await burst(150, 15)).toEqual([]);
  const spread = await containerCounts(cluster);
  expect(spread.reduce((a, b) => a + b)).toBe(150);
  for (const count of spread) expect(Math.abs(count - 50)).toBeLessThanOrEqual(5);
});

test("the node with most of its memory reserved gets the fewest runs", async () => {
  const [first] = cluster.nodes as [TestCluster["nodes"][number]];
  const { stdout } = await first.engine.docker(["info", "--format", "{{.MemTotal}}"]);
  await startContainer(first, { memory: String(Math.floor(Number(stdout) * 0.85)) }, first.name);
  expect(await burst(20, 6)).toEqual([]);
  const [reserved = 0, ...others] = await containerCounts(cluster);
  expect(reserved - 1).toBeLessThan(Math.min(...others));
});
