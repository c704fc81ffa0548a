import { MemoryStore, nodeOf, pass, READ_MS, REFRESH_MS } from "../../../support/unit/members-parts";

beforeEach(() => jest.useFakeTimers());
afterEach(() => jest.useRealTimers());

/** Nodes n1, n2 … that have started and know each other. */
async function cluster(size: number) {
  const store = new MemoryStore();
  const nodes = Array.from({ length: size }, (_, index) => nodeOf(store, `n${index + 1}`));
  for (const { members } of nodes) await members.start();
  await pass(READ_MS);
  return { store, nodes, first: nodes[0] as (typeof nodes)[0], second: nodes[1] as (typeof nodes)[0] };
}

test("nodes of one store know each other; a node is not its own peer", async () => {
  const { nodes } = await cluster(3);
  expect(nodes.map(({ peers }) => peers())).toEqual([
    ["n2", "n3"],
    ["n1", "n3"],
    ["n1", "n2"],
  ]);
});

test("peers know a new record after their next read", async () => {
  const { first, second } = await cluster(2);
  second.record = { ...second.record, load: 0.7, engine: "down" };
  await pass(REFRESH_MS + READ_MS);
  expect(first.peer("n2").record).toMatchObject({ load: 0.7, engine: "down" });
});

test("nodes whose names are similar, or no valid store keys, are told apart", async () => {
  const store = new MemoryStore();
  const names = ["n/1", "n:1", "../n", "n;1", `${"n".repeat(100)}1`, `${"n".repeat(100)}2`];
  for (const name of names) await nodeOf(store, name).members.start();
  expect([...store.texts.keys()].filter((key) => /^[\w-]{1,100}$/.test(key))).toHaveLength(names.length);
  const watcher = nodeOf(store, "watcher");
  await watcher.members.start();
  expect(watcher.peers()).toEqual([...names].sort());
});

test("a store that reads as empty removes no node that answers", async () => {
  const { store, first, second } = await cluster(2);
  await second.members.stop();
  store.texts.clear();
  await pass(100_000);
  expect(first.peers()).toEqual(["n2"]);
});

test("a node that leaves is removed; its old record does not add it again, a new process does", async () => {
  const { store, first, second } = await cluster(2);
  const oldRecords = new Map(store.texts);
  await second.members.stop();
  first.members.handleLeave("n2", second.record.process);
  expect(first.peers()).toEqual([]);
  for (const [key, text] of oldRecords) store.texts.set(key, text);
  await pass(10 * REFRESH_MS);
  expect([first.peers(), [...first.members.recentlyLeft.keys()]]).toEqual([[], ["n2"]]);
  await nodeOf(store, "n2", { process: "the next" }).members.start();
  await pass(READ_MS);
  expect([first.peers(), [...first.members.recentlyLeft.keys()]]).toEqual([["n2"], []]);
});

test("a change is told when a node comes, leaves, restarts, stops answering, answers again or has another engine, and not otherwise", async () => {
  const { store, first, second } = await cluster(2);
  const changesIn = async (act: () => unknown) => {
    const before = first.changes;
    await act();
    await pass(REFRESH_MS + READ_MS);
    return first.changes - before;
  };
  expect(await changesIn(() => Object.assign(second.record, { load: 0.7 }))).toBe(0);
  expect(await changesIn(() => Object.assign(second.record, { engine_id: "another" }))).toBe(1);
  expect(await changesIn(() => Object.assign(second.record, { same_engine: ["n3"] }))).toBe(1);
  expect(await changesIn(() => first.peer("n2").markMissing("it refused"))).toBe(1);
  expect(await changesIn(() => first.peer("n2").markAlive())).toBe(1);
  expect(await changesIn(() => first.peer("n2").markAlive())).toBe(0);
  expect(await changesIn(() => nodeOf(store, "n3").members.start())).toBe(1);
  await second.members.stop();
  expect(await changesIn(() => nodeOf(store, "n2", { process: "the next" }).members.start())).toBe(1);
  expect(await changesIn(() => first.members.handleLeave("n2", "the next"))).toBe(1);
});

test("a late leave of the previous process does not remove the current one", async () => {
  const { store, first, second } = await cluster(2);
  const before = second.record.process;
  await second.members.stop();
  await nodeOf(store, "n2", { process: "the next" }).members.start();
  await pass(READ_MS);
  first.members.handleLeave("n2", before);
  expect(first.peers()).toEqual(["n2"]);
  await pass(10 * REFRESH_MS);
  expect(first.peers()).toEqual(["n2"]);
});

test("an old process that republishes and leaves removes its node only if the next one has not joined", async () => {
  for (const joined of [true, false]) {
    const { store, first, second } = await cluster(2);
    const oldRecords = new Map(store.texts);
    const next = nodeOf(store, "n2", { process: "the next" });
    await next.members.discover();
    await next.members.start();
    if (joined) first.members.handleJoin(next.record, next.members.predecessor);
    for (const [key, text] of oldRecords) store.texts.set(key, text);
    await first.members.refresh();
    first.members.handleLeave("n2", second.record.process);
    expect(first.peers()).toEqual(joined ? ["n2"] : []);
    await Promise.all([first, second, next].map(({ members }) => members.stop()));
  }
});

test("a node that stops withdraws its record, closes the store and uses it no more", async () => {
  const { store, first } = await cluster(2);
  await first.members.stop();
  expect([...store.texts.keys()]).toEqual([expect.stringMatching(/^n2_/)]);
  expect(store.closed).toBe(1);
  const others = store.reads;
  await pass(10 * REFRESH_MS);
  expect([...store.texts.keys()]).toEqual([expect.stringMatching(/^n2_/)]);
  // The remaining reads are those of the other node.
  expect(store.reads - others).toBe(Math.floor((10 * REFRESH_MS) / READ_MS));
});

test.each(["publishing again", "starting"])("a publication under way at a stop (%s) does not land after the withdrawal", async (when) => {
  const store = new MemoryStore();
  const node = nodeOf(store, "n1");
  const publish = store.publish.bind(store);
  const slow = async (key: string, text: string) => {
    await new Promise((resolve) => setTimeout(resolve, 50));
    await publish(key, text);
  };
  if (when === "starting") store.publish = slow;
  const starting = node.members.start();
  if (when !== "starting") {
    await starting;
    store.publish = slow;
    await pass(REFRESH_MS + 10);
  }
  const stopping = node.members.stop();
  await pass(1000);
  await Promise.all([starting, stopping]);
  expect([...store.texts.keys()]).toEqual([]);
  expect(jest.getTimerCount()).toBe(0);
});

test("a leave that names the known predecessor removes a node whose new process was never seen", async () => {
  const { store, first, second } = await cluster(2);
  const [record] = first.members.peers.map((peer) => peer.record);
  const next = nodeOf(store, "n2");
  await next.members.discover();
  expect(next.members.predecessor).toBe(record?.process);
  first.members.handleLeave("n2", "a process never seen", next.members.predecessor);
  expect(first.peers()).toEqual([]);
  await second.members.stop();
});

test("two nodes of one name at different addresses tell both of them; a reload of one node tells nothing", async () => {
  const { store, first } = await cluster(1);
  const next = nodeOf(store, "n1", { process: "the next" });
  await next.members.discover();
  await next.members.start();
  await pass(3 * READ_MS);
  expect([first, next].map(({ members }) => members.warnings)).toEqual([[], []]);
  await first.members.stop();
  const other = nodeOf(store, "n1", { process: "another" });
  other.record = { ...other.record, url: "http://elsewhere:8080" };
  await other.members.discover();
  await other.members.start();
  await pass(3 * READ_MS);
  expect(next.members.warnings).toEqual([expect.stringContaining("Another node at http://elsewhere:8080 has this node's name, n1")]);
  expect(other.members.warnings).toEqual([expect.stringContaining(next.record.url)]);
  expect(other.entries).toContainEqual(expect.objectContaining({ level: "error", message: "Another node has this node's name" }));
});

test.each(["leaves", "no longer answers"])(
  "a node that another of its name hid is known again once that one %s; an old record of it never is",
  async (end) => {
    const { store, first } = await cluster(1);
    const second = nodeOf(store, "n2", { process: "the first n2" });
    await second.members.start();
    await first.members.refresh();
    const [key, old] = [...store.texts].find(([each]) => each.startsWith("n2")) as [string, string];
    const other = nodeOf(store, "n2", { process: "another" });
    other.record = { ...other.record, url: "http://elsewhere:8080" };
    await other.members.start();
    await first.members.refresh();
    expect(first.peer("n2").record.url).toBe("http://elsewhere:8080");
    // Both publish now, and the first one's records are ignored.
    await pass(3 * REFRESH_MS);
    expect(first.peer("n2").record.url).toBe("http://elsewhere:8080");
    await other.members.stop();
    if (end === "leaves") first.members.handleLeave("n2", "another");
    else first.peer("n2").markMissing("refused");
    store.texts.set(key, old);
    await first.members.refresh();
    expect(first.members.allPeers.map(({ record }) => record.url)).not.toContain(second.record.url);
    expect(first.members.warnings).toEqual([
      expect.stringMatching(/^The record n2\S* in the store is ignored: .*or two nodes have the same name$/),
    ]);
    await pass(2 * REFRESH_MS);
    expect(first.peer("n2").record.url).toBe(second.record.url);
    expect(first.members.warnings).toEqual([]);
  },
);

test("the store counts as read only after a read that succeeded", async () => {
  const store = new MemoryStore();
  store.state = "fails";
  const { members } = nodeOf(store, "n1");
  await members.discover();
  await members.start();
  expect(members.storeWasRead).toBe(false);
  store.state = "ok";
  await pass(READ_MS);
  expect(members.storeWasRead).toBe(true);
});
