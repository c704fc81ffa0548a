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
import { type MountedFolder, mountedFolder } from "../../support/mounted-folder";
import { startNodeServer } from "../../support/start-node";

let cluster: TestCluster;
let folder: MountedFolder;
let [n1, n2, n3] = [] as unknown as [TestNode, TestNode, TestNode];
const NAMES = ["n1", "n2", "n3"];
const start = (node: TestNode) => startNodeServer(node, { folder: folder.of(node.name), args: ["--peer_timeout=1500"] });
beforeAll(async () => {
  cluster = await startCluster({ size: 3, ownEngines: true });
  [n1, n2, n3] = cluster.nodes as [TestNode, TestNode, TestNode];
  folder = mountedFolder(n1.engine.folder, NAMES);
  await Promise.all(cluster.nodes.map((node) => node.server.stop("SIGKILL").then(() => start(node))));
});
afterAll(async () => {
  folder?.answer();
  await cluster?.stop();
  folder?.stop();
});

let held: [string, string, string];
beforeEach(async () => {
  expect(await becomesComplete(cluster)).toBe(true);
  const made = await Promise.all(NAMES.map((name) => startContainer(n1, { name: uniqueName("held") }, name)));
  held = made.map(({ name }) => name) as [string, string, string];
});
afterEach(() => removeAllContainers(cluster), 60_000);

const missing = async (node: TestNode) => listHeader(await node.request("GET", "/"), "x-cluster-missing");

/** Returns whether every node has logged since this call that its store is unavailable. */
function complaints(): () => boolean {
  const before = new Map(cluster.nodes.map(({ server }) => [server, server.output().length]));
  return () => [...before].every(([server, length]) => server.output().slice(length).includes("Store unavailable"));
}

interface Fault {
  make(): void;
  /** whether all nodes have run into it */
  met(): boolean;
  mend(): void;
}

/** Clients don't notice the fault; a node started during it serves; after the repair every node finds all others. */
async function expectUnnoticed({ make, met, mend }: Fault): Promise<void> {
  const clients = startClients(cluster.nodes, { nodes: NAMES, containers: held });
  make();
  try {
    expect(await until(met, 30_000)).toBe(true);
    await sleep(2000);
    const { asked, wrong } = await clients.stop();
    expect(wrong).toEqual([]);
    expect(asked).toBeGreaterThan(5);
    // Reads of a hanging folder must not block other files: they share the few threads of one pool.
    for (const node of cluster.nodes) {
      expect((await node.request("GET", "/docs/favicon.png", { signal: AbortSignal.timeout(20_000) })).status).toBe(200);
    }

    await n3.server.stop("SIGKILL");
    await start(n3);
    const list = await n3.request("GET", "/");
    expect(list.status).toBe(200);
    expect(listHeader(list, "x-cluster-nodes")).toContain("n3");
    expect(list.json).toContainEqual(expect.objectContaining({ name: held[2], host: "n3" }));
    expect((await startContainer(n3, {}, "n3")).host).toBe("n3");
    // Nodes that knew it before find it at its old address.
    expect(await until(async () => (await missing(n1)).length + (await missing(n2)).length === 0, 30_000)).toBe(true);
    expect((await n1.request("POST", `/${held[2]}`, { json: { data: "true" } })).status).toBe(200);
  } finally {
    await clients.stop();
    mend();
  }
  expect(await becomesComplete(cluster)).toBe(true);
  await n2.server.stop("SIGKILL");
  await waitForCachedAnswers();
  expect(await missing(n1)).toEqual(["n2"]);
  expect(await missing(n3)).toEqual(["n2"]);
  await start(n2);
  expect(await becomesComplete(cluster)).toBe(true);
  expect((await n3.request("POST", `/${held[1]}`, { json: { data: "true" } })).status).toBe(200);
}

test("clients do not notice a folder unmounted on all hosts, leaving empty mount points", async () => {
  const own = (name: string) => folder.records(name).length === 1;
  await expectUnnoticed({
    make: () => NAMES.forEach(folder.unmount),
    met: () => NAMES.every((name) => tried(() => own(name))),
    mend: () => NAMES.forEach(folder.mount),
  });
});

test("clients do not notice a folder unmounted on one host", async () => {
  await expectUnnoticed({
    make: () => folder.unmount("n3"),
    met: () => tried(() => folder.records("n3").length === 1),
    mend: () => folder.mount("n3"),
  });
});

test("clients do not notice a read-only folder", async () => {
  await expectUnnoticed({ make: () => folder.readOnly(true), met: complaints(), mend: () => folder.readOnly(false) });
});

test("clients do not notice a deleted folder, which is created again", async () => {
  await expectUnnoticed({
    make: () => folder.remove({ blocked: false }),
    met: () => tried(() => folder.records("n1").length === 3),
    mend: () => {},
  });
});

test("clients do not notice a deleted folder that can't be created again", async () => {
  await expectUnnoticed({ make: () => folder.remove({ blocked: true }), met: complaints(), mend: folder.unblock });
});

test("clients do not notice a folder that hangs, as on a lost file server", async () => {
  await expectUnnoticed({ make: () => NAMES.forEach(folder.hang), met: complaints(), mend: folder.answer });
});

test("clients do not notice a folder with many hanging files, which block nothing else in the process", async () => {
  await expectUnnoticed({
    make: () => {
      for (const name of NAMES) folder.hangFiles(name, 6);
    },
    met: complaints(),
    mend: folder.answer,
  });
});

function tried(look: () => boolean): boolean {
  try {
    return look();
  } catch {
    return false;
  }
}
