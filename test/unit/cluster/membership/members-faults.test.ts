import { encodeRecord } from "../../../../lib/cluster/membership/record";
import { Signatures } from "../../../../lib/cluster/rpc/signatures";
import { recordOf } from "../../../support/unit/cluster-parts";
import { CACHE, MemoryStore, nodeOf, pass, REFRESH } from "../../../support/unit/members-parts";

beforeEach(() => jest.useFakeTimers());
afterEach(() => jest.useRealTimers());

/** Node n1, which watches n2's record in the store. */
async function watching(alive = new Set<string>()) {
  const store = new MemoryStore();
  const publishAs = async (sequence: number) => {
    const texts = new MemoryStore();
    await nodeOf(texts, "n2", { process: "first" }).members.start();
    const [key = ""] = texts.texts.keys();
    store.texts.set(key, encodeRecord(recordOf("n2", { sequence }), new Signatures(["key"])));
  };
  await publishAs(1);
  const node = nodeOf(store, "n1", { alive });
  await node.members.start();
  return { store, node, publishAs };
}

/** Longer than a node may be silent. */
const SILENCE = 61_000;

test("records that are torn, foreign or no records at all are passed over, each told of once, and others are read", async () => {
  const { store, node } = await watching();
  store.texts.set("torn", '{"record":"{');
  store.texts.set("empty", "");
  store.texts.set("foreign", encodeRecord(recordOf("n3"), new Signatures(["another key"])));
  await pass(10 * CACHE);
  expect(node.peers()).toEqual(["n2"]);
  expect(node.told()).toEqual(Array(3).fill("a record of the store is not used"));
});

test("a node of another key that shares the store is told of once, however often it publishes", async () => {
  const { store, node } = await watching();
  await nodeOf(store, "n3", { secret: "another key" }).members.start();
  await pass(10 * REFRESH);
  expect(node.peers()).toEqual(["n2"]);
  expect(node.told()).toEqual(["a record of the store is not used"]);
});

test("a record under another node's key is refused and told of once: who can write one file is not every node", async () => {
  const { store, node } = await watching();
  const [key = ""] = [...store.texts.keys()].filter((each) => each.startsWith("n2_"));
  store.texts.set(key, encodeRecord(recordOf("n3"), new Signatures(["key"])));
  await pass(10 * CACHE);
  expect(node.peers()).toEqual(["n2"]);
  expect(node.peer("n2").record.url).toBe("http://n2:8080");
  expect(node.told()).toEqual(["a record of the store is not used"]);
});

test.each(["fails", "hangs"] as const)(
  "a store that %s changes nothing, is told of once, and is used again as soon as it works",
  async (fault) => {
    const { store, node, publishAs } = await watching();
    store.state = fault;
    await pass(30_000);
    expect(node.peers()).toEqual(["n2"]);
    expect(node.told()).toHaveLength(2);
    expect(node.told().every((message) => message.includes("the nodes known so far stay"))).toBe(true);
    if (fault === "hangs") return;
    store.state = "ok";
    await publishAs(2);
    await pass(REFRESH + CACHE);
    expect(node.peer("n2").record.sequence).toBe(2);
    expect(node.told().slice(2).sort()).toEqual(["the store can be published to again", "the store can be read again"]);
  },
);

test("a store that hangs is not asked again until it has answered", async () => {
  const { store } = await watching();
  store.state = "hangs";
  await pass(CACHE);
  const before = store.reads;
  await pass(30_000);
  expect(store.reads).toBe(before);
});

test.each(["fails", "hangs"] as const)("a node starts and stops also with a store that %s, and joins when it works", async (fault) => {
  const store = new MemoryStore();
  store.state = fault;
  const node = nodeOf(store, "n1");
  const starting = node.members.start();
  await pass(15_000);
  await starting;
  expect(node.peers()).toEqual([]);
  if (fault === "fails") {
    store.state = "ok";
    await nodeOf(store, "n2").members.start();
    await pass(REFRESH + CACHE);
    expect(store.texts.size).toBe(2);
    expect(node.peers()).toEqual(["n2"]);
    store.state = "fails";
  }
  const stopping = node.members.stop();
  await pass(15_000);
  await stopping;
});

test("a missing node is asked until it answers, and is then missing no longer", async () => {
  const alive = new Set<string>();
  const { node } = await watching(alive);
  node.peer("n2").failed("timed out");
  await pass(5000);
  expect(node.peer("n2").missing).toBe("n2 refused");
  alive.add("n2");
  await pass(15_000);
  expect(node.peer("n2").missing).toBeUndefined();
});

test("a node that is missing and publishes nothing is forgotten after a minute, and not taken back from its old record, but from a new one", async () => {
  const { store, node, publishAs } = await watching();
  node.peer("n2").failed("timed out");
  await pass(SILENCE - 5000);
  expect(node.peers()).toEqual(["n2"]);
  await pass(10_000);
  expect(node.peers()).toEqual([]);
  expect(node.told()).toEqual(["a node has been silent for too long and counts as gone"]);
  expect(store.texts.size).toBe(2);
  await pass(2 * SILENCE);
  expect(node.peers()).toEqual([]);
  await publishAs(2);
  await pass(CACHE);
  expect(node.peers()).toEqual(["n2"]);
});

test("a node is not forgotten while it is either heard of or not known to be missing", async () => {
  const { node, publishAs } = await watching();
  await pass(2 * SILENCE);
  expect(node.peers()).toEqual(["n2"]);
  node.peer("n2").failed("timed out");
  for (let sequence = 2; sequence < 10; sequence += 1) {
    await publishAs(sequence);
    await pass(SILENCE / 2);
  }
  expect(node.peer("n2").missing).toBe("n2 refused");
});

test("one failure does not take a node away that was not heard of for long because the store was down and nobody asked it", async () => {
  const alive = new Set(["n2"]);
  const { store, node } = await watching(alive);
  store.state = "fails";
  await pass(2 * SILENCE);
  node.peer("n2").failed("timed out");
  await pass(2 * CACHE);
  expect(node.peers()).toEqual(["n2"]);
  expect(node.peer("n2").missing).toBeUndefined();
  await pass(2 * SILENCE);
  expect(node.peers()).toEqual(["n2"]);
});
