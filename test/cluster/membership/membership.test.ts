import { execFileSync } from "node:child_process";
import { setTimeout as sleep } from "node:timers/promises";
import { until } from "../../../scripts/process";
import { startClients } from "../../support/clients";
import { startCluster, type TestCluster, type TestNode } from "../../support/cluster";
import {
  becomesComplete,
  listHeader,
  removeAllContainers,
  startContainer,
  uniqueName,
  waitForCachedAnswers,
} from "../../support/cluster-containers";
import { faketime } from "../../support/faketime";
import { startNodeServer } from "../../support/start-node";
import type { Traffic } from "../../support/traffic";

let cluster: TestCluster;
let [n1, n2, n3] = [] as unknown as [TestNode, TestNode, TestNode];
let held: [string, string, string];
const NAMES = ["n1", "n2", "n3"];
beforeAll(async () => {
  cluster = await startCluster({ size: 3, ownEngines: true, args: ["--peer_timeout=1500"] });
  [n1, n2, n3] = cluster.nodes as [TestNode, TestNode, TestNode];
});
afterAll(() => cluster?.stop());
beforeEach(async () => {
  expect(await becomesComplete(cluster)).toBe(true);
  const made = await Promise.all(NAMES.map((name) => startContainer(n1, { name: uniqueName("held") }, name)));
  held = made.map(({ name }) => name) as [string, string, string];
});
afterEach(async () => {
  await Promise.all(running.splice(0).map((clients) => clients.stop()));
  // Each test leaves n2 or n3 ended, or started in its own way.
  for (const node of [n2, n3]) await node.server.stop("SIGKILL").then(() => cluster.restart(node));
  await removeAllContainers(cluster);
});

const running: Traffic[] = [];
/** Starts clients that are stopped after the test. */
function clientsOf(through: TestNode[], nodes: string[], containers: [string, ...string[]]): Traffic {
  const clients = startClients(through, { nodes, containers });
  running.push(clients);
  return clients;
}

const nodesOf = async (node: TestNode) =>
  (await node.request("GET", "/nodes")).json as { complete: boolean; nodes: { name: string; url: string }[] };
const namesOf = async (node: TestNode) => (await nodesOf(node)).nodes.map(({ name }) => name).sort();
const executes = async (through: TestNode, container: string) =>
  (await through.request("POST", `/${container}`, { json: { data: "true" } })).status;
/** Number of containers of a node's engine. */
const count = async ({ engine }: TestNode) => (await engine.docker(["ps", "--all", "--quiet"])).stdout.split("\n").filter(Boolean).length;

test("nodes with clocks an hour behind and an hour ahead find each other, serve and are found again", async () => {
  await Promise.all([n2, n3].map((node) => node.server.stop("SIGKILL")));
  await startNodeServer(n2, { folder: cluster.folder, inside: faketime("-1h") });
  await startNodeServer(n3, { folder: cluster.folder, inside: faketime("+1h") });
  const clock = async (node: TestNode) => Date.parse((await node.request("GET", "/health")).headers.get("date") ?? "");
  const now = await clock(n1);
  expect(Math.round(((await clock(n2)) - now) / 600_000)).toBe(-6);
  expect(Math.round(((await clock(n3)) - now) / 600_000)).toBe(6);
  expect(await becomesComplete(cluster)).toBe(true);

  const clients = clientsOf(cluster.nodes, NAMES, held);
  const before = await Promise.all(cluster.nodes.map(count));
  expect(
    await until(async () => (await Promise.all(cluster.nodes.map(count))).every((each, index) => each > (before[index] ?? 0)), 30_000),
  ).toBe(true);
  await sleep(2000);
  const { asked, wrong } = await clients.stop();
  expect(wrong).toEqual([]);
  expect(asked).toBeGreaterThan(5);

  await n2.server.stop("SIGKILL");
  await waitForCachedAnswers();
  expect(listHeader(await n3.request("GET", "/"), "x-cluster-missing")).toEqual(["n2"]);
  // The clock is correct again: it jumps by an hour.
  await cluster.restart(n2);
  expect(await becomesComplete(cluster)).toBe(true);
  expect(await executes(n3, held[1])).toBe(200);
});

test("a node that leaves fails no request, finishes its own and is not named missing", async () => {
  const clients = clientsOf([n1, n3], NAMES, held);
  await sleep(500);
  const begun = n1.request("POST", `/${held[1]}`, { json: { data: ["sh", "-c", "sleep 1; echo done"] } });
  await sleep(300);
  // From now on a client sees the pool with this node or without it, and no missing node.
  const { wrong: early } = await clients.stop();
  const others = clientsOf([n1, n3], ["n1", "n3"], [held[0], held[2]]);
  await n2.server.stop("SIGTERM");
  expect((await begun).text).toContain("done");
  expect(await until(async () => (await namesOf(n1)).join() === "n1,n3" && (await namesOf(n3)).join() === "n1,n3", 20_000)).toBe(true);
  await sleep(2000);
  const { asked, wrong } = await others.stop();
  // Lists from before it left hold it too.
  expect([...early, ...wrong.filter((each) => !each.endsWith("of n1, n2, n3"))]).toEqual([]);
  expect(asked).toBeGreaterThan(5);
  for (const node of [n1, n3]) {
    expect(await nodesOf(node)).toMatchObject({ complete: true });
    const message = `No such container: ${held[1]}. It may be on n2, which left the pool within the hour`;
    expect((await node.request("GET", `/${held[1]}`)).json).toMatchObject({ status: 404, message });
    expect((await node.request("GET", `/v1.41/containers/${held[1]}/json`)).json).toEqual({ message });
    expect((await node.request("GET", `/proxy/${held[1]}/`)).json).toMatchObject({ status: 404, message });
    expect((await node.request("GET", "/v1.41/volumes/absent")).json).toEqual({ message: expect.stringContaining("on n2, which left") });
  }
});

test("a request that a leaving node executes for another is answered, at the latest as still running", async () => {
  const begun = n1.request("POST", `/${held[1]}`, { json: { data: ["sh", "-c", "sleep 15"] } });
  await sleep(300);
  await n2.server.stop("SIGTERM");
  const { status, text } = await begun;
  expect({ status, text }).toEqual({ status: 202, text: expect.stringContaining('"running":true') });
});

test("a restarted node knows the others from its first answer on", async () => {
  for (let round = 0; round < 3; round += 1) {
    await n2.server.stop("SIGKILL");
    await cluster.restart(n2);
    expect(listHeader(await n2.request("GET", "/"), "x-cluster-nodes")).toEqual(NAMES);
    expect((await n2.request("GET", `/${held[0]}`)).status).toBe(200);
  }
});

test("a node that joins is used soon, without any failed request", async () => {
  await n3.server.stop("SIGTERM");
  expect(await until(async () => (await namesOf(n1)).length === 2 && (await namesOf(n2)).length === 2, 20_000)).toBe(true);
  const clients = clientsOf([n1, n2], ["n1", "n2"], [held[0], held[1]]);
  await sleep(500);
  const before = await count(n3);
  await cluster.restart(n3);
  expect(await until(async () => (await count(n3)) > before, 30_000)).toBe(true);
  expect(await becomesComplete(cluster)).toBe(true);
  const { wrong } = await clients.stop();
  // Lists from after it joined hold it too.
  expect(wrong.filter((each) => !each.endsWith("of n1, n2, n3"))).toEqual([]);
  expect(await executes(n1, held[2])).toBe(200);
});

test.each<[string, (node: TestNode) => { host?: string; port?: number }]>([
  ["another port", () => ({ port: 1818 })],
  ["another address of its host", (node) => ({ host: addressAdded(node) })],
])(
  "a killed node that restarts at %s is reached there",
  async (_what, place) => {
    const clients = clientsOf([n1, n3], NAMES, held);
    await sleep(500);
    const { wrong: before } = await clients.stop();
    expect(before).toEqual([]);
    await n2.server.stop("SIGKILL");
    await waitForCachedAnswers();
    expect(listHeader(await n1.request("GET", "/"), "x-cluster-missing")).toEqual(["n2"]);
    const old = n2.server.url;
    await startNodeServer(n2, { folder: cluster.folder, ...place(n2) });
    expect(n2.server.url).not.toBe(old);
    expect(await becomesComplete(cluster)).toBe(true);
    const after = clientsOf(cluster.nodes, NAMES, [held[1], held[0], held[2]]);
    await sleep(2000);
    const { asked, wrong } = await after.stop();
    expect(wrong).toEqual([]);
    expect(asked).toBeGreaterThan(5);
    for (const node of [n1, n3])
      expect((await nodesOf(node)).nodes).toContainEqual(expect.objectContaining({ name: "n2", url: n2.server.url }));
    await n2.server.stop("SIGKILL");
    await cluster.restart(n2);
  },
  120_000,
);

/** Adds an address to a node's host, outside of the range that the test bed uses. */
function addressAdded({ engine }: TestNode): string {
  const [network, host] = [engine.address.replace(/\.\d+$/, ""), Number(engine.address.split(".").pop())];
  const address = `${network}.${250 - host}`;
  execFileSync("nsenter", [`--net=${engine.netns}`, "ip", "addr", "add", `${address}/24`, "dev", "eth0"]);
  return address;
}
