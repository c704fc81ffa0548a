import { setTimeout as sleep } from "node:timers/promises";
import { run, until } from "../../../scripts/process";
import { startCluster, type TestCluster, type TestNode } from "../../support/cluster";
import {
  becomesComplete,
  listHeader,
  locate,
  removeAllContainers,
  sleeper,
  startContainer,
  uniqueName,
  waitForCachedAnswers,
} from "../../support/cluster-containers";
import { PROGRAM, TOKEN } from "../../support/server";
import { startTraffic } from "../../support/traffic";

let cluster: TestCluster;
let [n1, n2, n3] = [] as unknown as [TestNode, TestNode, TestNode];
let held: string;
beforeAll(async () => {
  cluster = await startCluster({ size: 3, ownEngines: true, args: ["--peer_timeout=1500"] });
  [n1, n2, n3] = cluster.nodes as [TestNode, TestNode, TestNode];
});
afterAll(() => cluster.stop());
beforeEach(async () => {
  held = (await startContainer(n1, { name: uniqueName("held") }, "n1")).name;
});
afterEach(async () => {
  await removeAllContainers(cluster);
  expect(await becomesComplete(cluster)).toBe(true);
});

const missing = async (node: TestNode) => listHeader(await node.request("GET", "/"), "x-cluster-missing");

test("a killed server is named missing, runs and commands continue, and after its restart it is back", async () => {
  const traffic = startTraffic([n1, n3], held);
  const lost = await startContainer(n2, {}, "n2");
  await n2.server.stop("SIGKILL");
  try {
    await waitForCachedAnswers();
    for (let round = 0; round < 3; round += 1) expect(await missing(n1)).toEqual(["n2"]);
    expect((await n1.request("GET", "/no-such-container")).status).toBe(503);
    expect((await n3.request("POST", `/${lost.name}`, { json: { data: "true" } })).json).toMatchObject({
      code: "NODES_MISSING",
      details: { missing: [{ node: "n2" }] },
    });
    const told = (name: string) => `there may be another container named ${name}: n2 does not answer`;
    for (const pin of ["", "?node=n3"]) {
      const name = uniqueName("named");
      const { json } = await n1.request("PUT", `/${pin}`, { json: sleeper({ name }) });
      expect(json.warnings).toEqual([told(name)]);
    }
    expect((await n1.request("PUT", "/", { json: sleeper() })).json.warnings).toBeUndefined();
    const created = uniqueName("created");
    const { json } = await n3.request("POST", `/v1.41/containers/create?name=${created}`, { json: { Image: "busybox" } });
    expect(json).toEqual({ Id: expect.any(String), Warnings: [told(created)] });
    await sleep(1000);
    const { asked, wrong } = await traffic.stop();
    expect(asked).toBeGreaterThan(5);
    // Only runs that were sent to it before it died.
    expect(wrong.filter((each) => !each.includes("NODE_FAILED"))).toEqual([]);
  } finally {
    await cluster.restart(n2);
  }
  expect(await becomesComplete(cluster)).toBe(true);
  expect((await n1.request("GET", `/${lost.name}`)).json).toMatchObject([{ id: lost.id, host: "n2" }]);
});

test("a frozen server is named missing, runs through the others succeed, and after the thaw it is back", async () => {
  n2.server.process.signal("SIGSTOP");
  try {
    await waitForCachedAnswers();
    expect(await missing(n1)).toEqual(["n2"]);
    expect(await missing(n3)).toEqual(["n2"]);
    const traffic = startTraffic([n1, n3], held);
    for (let round = 0; round < 5; round += 1) expect(await missing(n1)).toEqual(["n2"]);
    const nodes = (await n3.request("GET", "/nodes")).json;
    expect(nodes).toMatchObject({ complete: false, missing: ["n2"] });
    expect(nodes.nodes.find(({ name }: { name: string }) => name === "n2")).toMatchObject({ reachable: false, reason: expect.any(String) });
    expect((await n1.request("PUT", "/?node=n2", { json: sleeper() })).json).toMatchObject({
      code: "NODE_FAILED",
      details: { node: "n2" },
    });
    await sleep(1000);
    const { asked, wrong } = await traffic.stop();
    expect(asked).toBeGreaterThan(5);
    expect(wrong).toEqual([]);
  } finally {
    n2.server.process.signal("SIGCONT");
  }
  expect(await becomesComplete(cluster)).toBe(true);
  expect(await missing(n1)).toEqual([]);
});

test("docker-server check tells which nodes answer, and of one that doesn't what to look at", async () => {
  const check = async () => {
    const settings = ["--cluster", "--folder", cluster.folder, "--token", TOKEN, "--node_name", "n1", "--peer_timeout=1500"];
    const [command = "", ...args] = n1.engine.inside([process.execPath, PROGRAM, "check", ...settings]);
    const { stdout } = await run(command, args, { env: { ...process.env, DOCKER_HOST: `unix://${n1.engine.socket}` } });
    return stdout;
  };
  const well = await check();
  for (const peer of ["n2", "n3"]) expect(well).toMatch(new RegExp(`ok {5}peer ${peer}: .* answers`));
  n2.server.process.signal("SIGSTOP");
  try {
    const text = await check();
    expect(text).toMatch(/WRONG {2}peer n2: .* does not answer: .*\n {7}Check that it runs/);
    expect(text).toMatch(/ok {5}peer n3: /);
  } finally {
    n2.server.process.signal("SIGCONT");
  }
});

test("runs right after an unnoticed freeze all succeed", async () => {
  n2.server.process.signal("SIGSTOP");
  try {
    const answers = await Promise.all(
      Array.from({ length: 6 }, (_, index) => (index % 2 ? n1 : n3).request("PUT", "/", { json: sleeper({ network: "none" }) })),
    );
    expect(answers.map(({ status }) => status)).toEqual(Array(6).fill(200));
  } finally {
    n2.server.process.signal("SIGCONT");
  }
});

test("a run whose node freezes is answered with its name, and exists at most once after a retry", async () => {
  for (const delay of [5, 40, 80]) {
    const name = uniqueName("frozen");
    const first = n1.request("PUT", "/?node=n2", { json: sleeper({ name }) });
    await sleep(delay);
    n2.server.process.signal("SIGSTOP");
    const { status, json } = await first.finally(() => undefined);
    // The run was done before the freeze: its name is on a node that can't be asked, which is not tested here.
    if (status === 200) {
      n2.server.process.signal("SIGCONT");
      expect(await becomesComplete(cluster)).toBe(true);
      continue;
    }
    expect({ status, json }).toMatchObject({ status: 502, json: { code: "NODE_FAILED", details: { node: "n2" } } });
    const again = await n1.request("PUT", "/", { json: sleeper({ name }) });
    n2.server.process.signal("SIGCONT");
    expect([200, 409]).toContain(again.status);
    expect(await becomesComplete(cluster)).toBe(true);
    // The thawed node removes what it may have created before it froze.
    const settled = async () => {
      const places = await locate(cluster, name);
      return places.length <= 1 && places.every((each) => each.endsWith("running"));
    };
    expect(await until(settled, 15_000)).toBe(true);
  }
});

test("the node of a dead engine is named missing, runs go elsewhere, and with its engine it is back", async () => {
  await n3.engine.kill();
  const traffic = startTraffic([n1, n2, n3], held);
  await waitForCachedAnswers();
  expect(await missing(n1)).toEqual(["n3"]);
  expect(await missing(n3)).toEqual(["n3"]);
  await sleep(1000);
  const { wrong } = await traffic.stop();
  await n3.engine.restart();
  expect(wrong).toEqual([]);
  expect(await until(async () => (await missing(n1)).length === 0, 20_000)).toBe(true);
});

test("a node whose network is down is named missing, the others continue, and with the network it is back", async () => {
  n2.engine.linkDown();
  try {
    await waitForCachedAnswers();
    expect(await missing(n1)).toEqual(["n2"]);
    const traffic = startTraffic([n1, n3], held);
    await sleep(1000);
    expect((await traffic.stop()).wrong).toEqual([]);
  } finally {
    n2.engine.linkUp();
  }
  expect(await until(async () => (await missing(n1)).length === 0, 20_000)).toBe(true);
});
