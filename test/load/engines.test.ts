import { until } from "../../scripts/process";
import { startCluster, type TestCluster, type TestNode } from "../support/cluster";
import { becomesComplete, locate, removeAllContainers, startContainer, uniqueName } from "../support/cluster-containers";
import { engineKind } from "../support/engine";
import { containersOf, volumesOf } from "../support/engine-api";
import { importRunner } from "../support/images";
import { startMixedTraffic } from "../support/mixed-traffic";

const DEADLINE_MS = 120_000;

let cluster: TestCluster;
beforeAll(async () => {
  cluster = await startCluster({ size: 3, ownEngines: true, args: ["--run_memory=40000000"] });
  await Promise.all(cluster.nodes.map(({ engine }) => importRunner(engine)));
});
afterAll(() => cluster?.stop());

test("a run that is waited for fails with its engine, and doesn't run on another node instead", async () => {
  const name = uniqueName("foreground");
  const data = ["sh", "-c", "trap exit TERM; sleep 100000 & wait"];
  const run = cluster.nodes[0]?.request("PUT", "/", { json: { image: "busybox", name, data } });
  const isRunning = async () => (await locate(cluster, name)).join().endsWith(":running");
  expect(await until(isRunning, DEADLINE_MS)).toBe(true);
  const [owner] = (await locate(cluster, name)).map((place) => place.split(":")[0]);
  const { engine } = cluster.nodes.find((node) => node.name === owner) as TestNode;
  await engine.kill();
  try {
    expect((await run)?.json).toMatchObject({ status: 503, code: "ENGINE_UNREACHABLE", details: { begun: true } });
  } finally {
    await engine.restart();
  }
  expect(await becomesComplete(cluster, DEADLINE_MS)).toBe(true);
  expect((await locate(cluster, name)).map((place) => place.split(":")[0])).toEqual([owner]);
  await removeAllContainers(cluster);
});

const KINDS = [0, 1, 2].map(engineKind).join(", ");

test(`a pool of the engines ${KINDS}, each killed and started again in turn under mixed traffic: nothing is lost, doubled or hangs`, async () => {
  const held = cluster.nodes.map(({ name }) => uniqueName(`held-${name}`));
  for (const [index, node] of cluster.nodes.entries()) {
    const json = { name: held[index], restart: "always", data: ["sh", "-c", "echo started; trap exit TERM; sleep 100000 & wait"] };
    await startContainer(node, json, node.name);
  }
  const run = async (name: string) => (await locate(cluster, name)).join().endsWith(":running");
  // A pool is complete while its nodes answer, also without their engines.
  const enginesAnswer = async () => {
    const lists = await Promise.all(cluster.nodes.map((node) => node.request("GET", "/nodes")));
    return lists.every(({ json }) => json.complete && json.nodes.every(({ engine }: { engine: string }) => engine === "ok"));
  };
  const traffic = startMixedTraffic(cluster.nodes, held, () => until(enginesAnswer, DEADLINE_MS));
  try {
    expect(await traffic.grows(6)).toBe(true);
    for (const { engine } of cluster.nodes) {
      await engine.kill();
      expect(await traffic.grows(6)).toBe(true);
      await engine.restart();
      expect(await becomesComplete(cluster, DEADLINE_MS)).toBe(true);
      expect(await until(async () => (await Promise.all(held.map(run))).every(Boolean), DEADLINE_MS)).toBe(true);
      expect(await traffic.grows(6)).toBe(true);
    }
  } finally {
    await traffic.end();
  }
  expect(traffic.wrong).toEqual([]);

  // A stop removes the warm sandboxes; a start, what the kills interrupted.
  for (const node of cluster.nodes) {
    await node.server.stop();
    await cluster.restart(node);
  }
  const expected = [...held, ...traffic.present].sort();
  const names = async () => (await Promise.all(cluster.nodes.map(({ engine }) => containersOf(engine)))).flat().map(({ name }) => name);
  await until(async () => (await names()).length === expected.length, DEADLINE_MS);
  expect((await names()).sort()).toEqual(expected);
  const volumes = (await Promise.all(cluster.nodes.map(({ engine }) => volumesOf(engine)))).flat();
  const managed = expected.filter((name) => /^c[a-z0-9]{24}$/.test(name));
  expect(volumes.length).toBe(managed.length);
});
