import { setTimeout as sleep } from "node:timers/promises";
import { until } from "../../../scripts/process";
import { startCluster, type TestCluster, type TestNode } from "../../support/cluster";
import { becomesComplete, locate, removeAllContainers, sleeper, uniqueName } from "../../support/cluster-containers";

let cluster: TestCluster;
let [n1, n2, n3] = [] as unknown as [TestNode, TestNode, TestNode];
beforeAll(async () => {
  cluster = await startCluster({ size: 3, args: ["--peer_timeout=1500"] });
  [n1, n2, n3] = cluster.nodes as [TestNode, TestNode, TestNode];
});
afterAll(() => cluster.stop());
afterEach(() => removeAllContainers(cluster));

const DELAYS = Array.from({ length: 10 }, (_, index) => index * 30);

/** Kills a node's server `delay` ms after a PUT; returns where the container of that run remains in the end. */
async function killDuring(entry: TestNode, killed: TestNode, pin: string, delay: number): Promise<string[]> {
  const name = uniqueName("kill");
  const put = entry.request("PUT", `/?node=${pin}`, { json: sleeper({ name, network: "none" }) }).catch(() => undefined);
  await sleep(delay);
  await killed.server.stop("SIGKILL");
  const answer = await put;
  await cluster.restart(killed);
  expect(await becomesComplete(cluster)).toBe(true);
  // A run whose entry node died continues until its own node notices.
  await until(async () => !(await locate(cluster, name)).some((each) => each.endsWith("created")), 1000);
  const remaining = await locate(cluster, name);
  if (answer?.status === 200) expect(remaining).toEqual([`${pin}:running`]);
  const shown = (await n3.request("GET", "/")).json.filter((each: { name: string }) => each.name === name);
  expect(shown.map(({ host, state }: { host: string; state: string }) => `${host}:${state}`)).toEqual(remaining);
  return remaining;
}

test.each(DELAYS)(
  "kill -9 of the node that executes a run, %i ms into it, leaves no container or one that GET / lists",
  async (delay) => {
    expect((await killDuring(n1, n2, "n2", delay)).length).toBeLessThanOrEqual(1);
  },
  30_000,
);

test.each(DELAYS)(
  "kill -9 of the entry node of a run, %i ms into it, leaves no container or a running one",
  async (delay) => {
    const remaining = await killDuring(n1, n1, "n2", delay);
    expect([[], ["n2:running"]]).toContainEqual(remaining);
  },
  30_000,
);
