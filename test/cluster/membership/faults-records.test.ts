import { Signatures } from "../../../lib/cluster/rpc/signatures";
import { until } from "../../../scripts/process";
import { startClients } from "../../support/clients";
import { startCluster, type TestCluster, type TestNode } from "../../support/cluster";
import { becomesComplete, listHeader, removeAllContainers, startContainer, uniqueName } from "../../support/cluster-containers";
import { type RecordingListener, startRecordingListener } from "../../support/recording-listener";
import { clusterKey, putRecord, readRecord, recordFile, removeRecord, strangersRecord } from "../../support/records";
import { TOKEN } from "../../support/server";
import { startNodeServer } from "../../support/start-node";
import { startTraffic } from "../../support/traffic";

let cluster: TestCluster;
let stranger: RecordingListener;
/** Differs in each test: a node logs an unusable file only once. */
let name: string;
let [n1, n2, n3] = [] as unknown as [TestNode, TestNode, TestNode];
let held: [string, string, string];
const NAMES = ["n1", "n2", "n3"];
const fileOf = (node: string) => recordFile(cluster.folder, node);
beforeAll(async () => {
  cluster = await startCluster({ size: 3 });
  [n1, n2, n3] = cluster.nodes as [TestNode, TestNode, TestNode];
});
afterAll(() => cluster?.stop());
beforeEach(async () => {
  stranger = await startRecordingListener();
  name = uniqueName("stranger");
  const made = await Promise.all(NAMES.map((node) => startContainer(n1, { name: uniqueName("held") }, node)));
  held = made.map((each) => each.name) as [string, string, string];
});
afterEach(async () => {
  removeRecord(fileOf(name));
  await removeAllContainers(cluster);
  await stranger.stop();
});

const names = async (node: TestNode) => (await node.request("GET", "/nodes")).json.nodes.map(({ name }: { name: string }) => name).sort();

/** Puts something into the folder repeatedly: clients don't notice it, and no address in it is contacted. */
async function expectUnnoticed(put: () => void, met: () => boolean): Promise<void> {
  const clients = startClients(cluster.nodes, { nodes: NAMES, containers: held });
  const end = performance.now() + 2000;
  const noticed = await until(() => {
    put();
    return met() && performance.now() > end;
  }, 30_000).finally(() => clients.stop());
  const { asked, wrong } = await clients.stop();
  expect(wrong).toEqual([]);
  expect(stranger.callers()).toEqual([]);
  for (const node of cluster.nodes) expect(await names(node)).toEqual(NAMES);
  expect(asked).toBeGreaterThan(5);
  expect(noticed).toBe(true);
}

const signedBy = (text: string, signature: string) => JSON.stringify({ record: text, signature });
const recordAt = (url: string, more = {}) => JSON.parse(strangersRecord(name, url, more)).record as string;

test.each<[string, (url: string) => string]>([
  ["a record that is torn", (url) => strangersRecord(name, url).slice(0, -20)],
  ["a record that isn't signed", (url) => JSON.stringify({ record: recordAt(url) })],
  ["a record with an empty signature", (url) => signedBy(recordAt(url), "")],
  ["a record that is nothing but itself", recordAt],
  ["a record signed with another key", (url) => strangersRecord(name, url, {}, new Signatures(["another-key"]))],
  ["a record signed with an empty key", (url) => strangersRecord(name, url, {}, new Signatures([""]))],
  ["a record with the signature of another", (url) => signedBy(recordAt(url), JSON.parse(readRecord(fileOf("n2")).stored).signature)],
  ["a record whose signature was made for requests", (url) => signedBy(recordAt(url), clusterKey().sign("request", recordAt(url)))],
  ["text that is nested very deep", () => "[".repeat(9000)],
  ["a record that is signed and too long for a store", (url) => strangersRecord(name, url, { version: "x".repeat(20_000) })],
  ["a record that is signed and too long for its field", (url) => strangersRecord(name, url, { version: "x".repeat(1000) })],
  ["a signed record whose address holds credentials", (url) => strangersRecord(name, url.replace("//", "//user:password@"))],
  ["a signed record whose address isn't one of HTTP", (url) => strangersRecord(name, url.replace("http:", "ftp:"))],
])(
  "clients do not notice %s, and its address is never contacted",
  async (_name, make) => {
    const stored = make(stranger.url);
    const refused = refusals();
    // Files larger than a store's limit are skipped without being read or logged.
    await expectUnnoticed(
      () => putRecord(fileOf(name), stored),
      () => stored.length > 10_000 || refused(),
    );
  },
  60_000,
);

test("clients do not notice a record with a changed address, or a torn one", async () => {
  const forge = () => {
    const { stored, record } = readRecord(fileOf("n2"));
    const { signature } = JSON.parse(stored);
    putRecord(fileOf("n2"), signedBy(JSON.stringify({ ...record, url: stranger.url, sequence: record.sequence + 1 }), signature));
  };
  const met = refusals();
  await expectUnnoticed(() => {
    tried(forge);
    tried(() => putRecord(fileOf("n3"), readRecord(fileOf("n3")).stored.slice(0, 100)));
  }, met);
});

test("clients do not notice a valid record under another node's name", async () => {
  const { stored } = readRecord(fileOf("n2"));
  const met = refusals();
  await expectUnnoticed(() => {
    putRecord(fileOf(name), stored);
    putRecord(fileOf("n3"), stored);
  }, met);
});

test("clients do not notice the restored record of a node that moved, and its old address is never contacted", async () => {
  stranger.forwardTo({ host: n2.engine.address, port: 1717 });
  await n2.server.stop("SIGKILL");
  await startNodeServer(n2, { folder: cluster.folder, args: ["--advertise", stranger.url] });
  const reachedThere = async (node: TestNode) => {
    await names(node);
    return stranger.callers().includes(node.engine.address);
  };
  expect(await until(async () => (await reachedThere(n1)) && (await reachedThere(n3)), 20_000)).toBe(true);
  const { stored, record } = readRecord(fileOf("n2"));
  expect(record.url).toBe(stranger.url);
  await n2.server.stop("SIGKILL");
  await stranger.stop();
  // A node tells an unusable record once: it may meet this one while n2 starts.
  const met = refusals([n1, n3]);
  await cluster.restart(n2);
  // It answers at its new address only, and the others know it.
  expect(await becomesComplete(cluster)).toBe(true);
  stranger = await startRecordingListener(stranger.url);
  await expectUnnoticed(() => putRecord(fileOf("n2"), stored), met);
});

test("a request between nodes that was recorded is refused when it is sent again, also after a restart of its receiver", async () => {
  stranger.forwardTo({ host: n2.engine.address, port: 1717 });
  const receiver = `http://${n2.engine.address}:1717`;
  await n2.server.stop("SIGKILL");
  await startNodeServer(n2, { folder: cluster.folder, args: ["--advertise", stranger.url] });
  const head = new RegExp(`GET /${held[1]} HTTP/1\\.1\\r\\n[^]*?x-docker-server-peer: (\\S+)`, "i");
  const isRecorded = async () => (await n1.request("GET", `/${held[1]}`)).status === 200 && head.test(stranger.received());
  expect(await until(isRecorded, 20_000)).toBe(true);
  const [, recorded = ""] = head.exec(stranger.received()) ?? [];
  const replayed = async () => (await fetch(`${receiver}/${held[1]}`, { headers: { "x-docker-server-peer": recorded } })).status;
  expect(await replayed()).toBe(401);
  await n2.server.stop("SIGKILL");
  // It would still pass on what others send to the node's address of before.
  await stranger.stop();
  await cluster.restart(n2);
  expect(await replayed()).toBe(401);
  expect(await becomesComplete(cluster)).toBe(true);
  stranger = await startRecordingListener();
});

test("an address in a signed record is called as a peer, without the client's credentials, and named missing", async () => {
  putRecord(fileOf(name), strangersRecord(name, stranger.url));
  expect(await until(async () => (await names(n1)).includes(name), 20_000)).toBe(true);
  const clients = startTraffic(cluster.nodes, held[0]);
  expect(await until(() => stranger.callers().length > 3, 20_000)).toBe(true);
  const { wrong } = await clients.stop();
  expect(wrong).toEqual([]);
  expect(listHeader(await n1.request("GET", "/"), "x-cluster-missing")).toEqual([name]);
  expect(stranger.received()).toMatch(/^x-docker-server-peer: /im);
  expect(stranger.received()).not.toMatch(/^(authorization|x-access-token|cookie):/im);
  expect(stranger.received()).not.toContain(TOKEN);
});

/** Returns whether all nodes, or those given, have logged an ignored record since this call. */
function refusals(nodes = cluster.nodes): () => boolean {
  const logged = nodes.map(({ server }) => server.output().length);
  return () => nodes.every(({ server }, index) => server.output().slice(logged[index]).includes("Store record ignored"));
}

// The node writes to the same file at the same time.
function tried(work: () => void): void {
  try {
    work();
  } catch {}
}
