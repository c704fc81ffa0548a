import { encodeRecord } from "../../../../lib/cluster/membership/record";
import { Signatures } from "../../../../lib/cluster/rpc/signatures";
import { recordOf } from "../../../support/unit/cluster-parts";
import { MemoryStore, nodeOf, pass, READ_MS, REFRESH_MS } from "../../../support/unit/members-parts";

beforeEach(() => jest.useFakeTimers());
afterEach(() => jest.useRealTimers());

/** Node n1, with the record of n2 in the store. */
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

/** Longer than a missing node may be silent. */
const SILENCE_MS = 61_000;

test("torn, foreign and malformed records are ignored and logged once each; other records are read", async () => {
  const { store, node } = await watching();
  store.texts.set("torn", '{"record":"{');
  store.texts.set("empty", "");
  store.texts.set("foreign", encodeRecord(recordOf("n3"), new Signatures(["another key"])));
  await pass(10 * READ_MS);
  expect(node.peers()).toEqual(["n2"]);
  expect(node.logged()).toEqual(Array(3).fill("Store record ignored"));
});

test("a node with another key that publishes repeatedly is logged once", async () => {
  const { store, node } = await watching();
  await nodeOf(store, "n3", { secret: "another key" }).members.start();
  await pass(10 * REFRESH_MS);
  expect(node.peers()).toEqual(["n2"]);
  expect(node.logged()).toEqual(["Store record ignored"]);
});

test("a record stored under another node's key is refused and logged once", async () => {
  const { store, node } = await watching();
  const [key = ""] = [...store.texts.keys()].filter((each) => each.startsWith("n2_"));
  store.texts.set(key, encodeRecord(recordOf("n3"), new Signatures(["key"])));
  await pass(10 * READ_MS);
  expect(node.peers()).toEqual(["n2"]);
  expect(node.peer("n2").record.url).toBe("http://n2:8080");
  expect(node.logged()).toEqual(["Store record ignored"]);
});

test.each(["fails", "hangs"] as const)("a store that %s changes nothing, is logged once and is used again when it works", async (fault) => {
  const { store, node, publishAs } = await watching();
  store.state = fault;
  await pass(30_000);
  expect(node.peers()).toEqual(["n2"]);
  expect(node.logged()).toHaveLength(2);
  expect(node.logged().every((message) => message === "Store unavailable, known nodes stay")).toBe(true);
  if (fault === "hangs") return;
  store.state = "ok";
  await publishAs(2);
  await pass(REFRESH_MS + READ_MS);
  expect(node.peer("n2").record.sequence).toBe(2);
  const recovered = node.entries.filter(({ message }) => message === "Store available again");
  expect(node.logged().slice(2)).toEqual(recovered.map(({ message }) => message));
  expect(recovered.map(({ fields }) => fields?.operation).sort()).toEqual(["publish", "read"]);
});

test("a store that hangs is not called again until it answers", async () => {
  const { store } = await watching();
  store.state = "hangs";
  await pass(READ_MS);
  const before = store.reads;
  await pass(30_000);
  expect(store.reads).toBe(before);
});

test.each(["fails", "hangs"] as const)("a node starts and stops with a store that %s, and joins once the store works", async (fault) => {
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
    await pass(REFRESH_MS + READ_MS);
    expect(store.texts.size).toBe(2);
    expect(node.peers()).toEqual(["n2"]);
    store.state = "fails";
  }
  const stopping = node.members.stop();
  await pass(15_000);
  await stopping;
});

test("a missing node is probed until it answers", async () => {
  const alive = new Set<string>();
  const { node } = await watching(alive);
  node.peer("n2").markMissing("timed out");
  await pass(5000);
  expect(node.peer("n2").missingReason).toBe("n2 refused");
  alive.add("n2");
  await pass(15_000);
  expect(node.peer("n2").missingReason).toBeUndefined();
});

test("a missing node that publishes nothing is removed after a minute; only a new record adds it again", async () => {
  const { store, node, publishAs } = await watching();
  node.peer("n2").markMissing("timed out");
  await pass(SILENCE_MS - 5000);
  expect(node.peers()).toEqual(["n2"]);
  await pass(10_000);
  expect(node.peers()).toEqual([]);
  expect(node.logged()).toEqual(["Peer marked missing", "Peer removed after long silence"]);
  expect(store.texts.size).toBe(2);
  await pass(2 * SILENCE_MS);
  expect(node.peers()).toEqual([]);
  await publishAs(2);
  await pass(READ_MS);
  expect(node.peers()).toEqual(["n2"]);
});

test("a node that publishes, or is not marked missing, is not removed", async () => {
  const { node, publishAs } = await watching();
  await pass(2 * SILENCE_MS);
  expect(node.peers()).toEqual(["n2"]);
  node.peer("n2").markMissing("timed out");
  for (let sequence = 2; sequence < 10; sequence += 1) {
    await publishAs(sequence);
    await pass(SILENCE_MS / 2);
  }
  expect(node.peer("n2").missingReason).toBe("n2 refused");
});

test("one failed call does not remove a node that was silent while the store was down", async () => {
  const alive = new Set(["n2"]);
  const { store, node } = await watching(alive);
  store.state = "fails";
  await pass(2 * SILENCE_MS);
  node.peer("n2").markMissing("timed out");
  await pass(2 * READ_MS);
  expect(node.peers()).toEqual(["n2"]);
  expect(node.peer("n2").missingReason).toBeUndefined();
  await pass(2 * SILENCE_MS);
  expect(node.peers()).toEqual(["n2"]);
});

describe("logging", () => {
  const entriesOf = ({ entries }: Awaited<ReturnType<typeof watching>>["node"], message: string) =>
    entries.filter((entry) => entry.message === message);

  test("a peer is logged once when it is marked missing, with the reason, and once when it answers again", async () => {
    const alive = new Set<string>();
    const { node } = await watching(alive);
    node.peer("n2").markMissing("timed out");
    await pass(5000);
    expect(entriesOf(node, "Peer marked missing")).toEqual([
      { level: "warn", message: "Peer marked missing", fields: { peer: "n2", url: expect.any(String), reason: "timed out" } },
    ]);
    expect(entriesOf(node, "Peer answers again")).toEqual([]);
    alive.add("n2");
    await pass(15_000);
    expect(entriesOf(node, "Peer answers again")).toEqual([{ level: "info", message: "Peer answers again", fields: { peer: "n2" } }]);
  });

  test("a failing store is logged with the operation and the reason", async () => {
    const { store, node } = await watching();
    store.state = "fails";
    await pass(READ_MS);
    expect(entriesOf(node, "Store unavailable, known nodes stay")).toEqual([
      { level: "warn", message: "Store unavailable, known nodes stay", fields: { operation: "read", reason: "the store is down" } },
    ]);
  });

  test("an unusable record is logged with its key and the reason, and is a warning while it is there", async () => {
    const { store, node } = await watching();
    store.texts.set("foreign", encodeRecord(recordOf("n3"), new Signatures(["another key"])));
    await pass(READ_MS);
    expect(node.members.warnings).toEqual([
      expect.stringMatching(/^The record foreign in the store is ignored: its signature is not valid/),
    ]);
    store.texts.delete("foreign");
    await pass(READ_MS);
    expect(node.members.warnings).toEqual([]);
    expect(entriesOf(node, "Store record ignored")).toEqual([
      {
        level: "warn",
        message: "Store record ignored",
        fields: { key: "foreign", reason: expect.stringContaining("its signature is not valid: the node has another --cluster_key") },
      },
    ]);
  });

  test("of the unusable records a hundred are warnings at most", async () => {
    const { store, node } = await watching();
    for (let index = 0; index < 150; index += 1) store.texts.set(`junk-${index}`, "not a record");
    await pass(READ_MS);
    expect(node.members.warnings).toHaveLength(100);
  });

  test("a peer that is added, and one that leaves, are logged", async () => {
    const { node } = await watching();
    node.members.handleLeave("n2", "first");
    expect(node.entries.filter(({ level }) => level === "debug")).toEqual([
      { level: "debug", message: "Peer added", fields: { peer: "n2", url: "http://n2:8080" } },
      { level: "debug", message: "Peer left", fields: { peer: "n2" } },
    ]);
  });
});
