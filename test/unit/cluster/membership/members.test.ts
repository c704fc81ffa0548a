import { CACHE, MemoryStore, nodeOf, pass, REFRESH } from "../../../support/unit/members-parts";

beforeEach(() => jest.useFakeTimers());
afterEach(() => jest.useRealTimers());

/** Nodes n1, n2 … that have started, and have read of each other. */
async function cluster(size: number) {
  const store = new MemoryStore();
  const nodes = Array.from({ length: size }, (_, index) => nodeOf(store, `n${index + 1}`));
  for (const { members } of nodes) await members.start();
  await pass(CACHE);
  return { store, nodes, first: nodes[0] as (typeof nodes)[0], second: nodes[1] as (typeof nodes)[0] };
}

test("nodes of one store know each other, and none counts itself among its peers", async () => {
  const { nodes } = await cluster(3);
  expect(nodes.map(({ peers }) => peers())).toEqual([
    ["n2", "n3"],
    ["n1", "n3"],
    ["n1", "n2"],
  ]);
});

test("what a node publishes anew its peers know after the next read", async () => {
  const { first, second } = await cluster(2);
  second.record = { ...second.record, load: 0.7, engine: "down" };
  await pass(REFRESH + CACHE);
  expect(first.peer("n2").record).toMatchObject({ load: 0.7, engine: "down" });
});

test("names that a store could not hold as they are, or that look alike, are different nodes", async () => {
  const store = new MemoryStore();
  const names = ["n/1", "n:1", "../n", "n;1", `${"n".repeat(100)}1`, `${"n".repeat(100)}2`];
  for (const name of names) await nodeOf(store, name).members.start();
  expect([...store.texts.keys()].filter((key) => /^[\w-]{1,100}$/.test(key))).toHaveLength(names.length);
  const watcher = nodeOf(store, "watcher");
  await watcher.members.start();
  expect(watcher.peers()).toEqual([...names].sort());
});

test("a store that reads empty takes nobody away who answers, for however long", async () => {
  const { store, first, second } = await cluster(2);
  await second.members.stop();
  store.texts.clear();
  await pass(100_000);
  expect(first.peers()).toEqual(["n2"]);
});

test("a node that said goodbye is gone, is not taken back from the record it left, but is as a new process", async () => {
  const { store, first, second } = await cluster(2);
  const left = new Map(store.texts);
  await second.members.stop();
  first.members.left("n2", second.record.process);
  expect(first.peers()).toEqual([]);
  for (const [key, text] of left) store.texts.set(key, text);
  await pass(10 * REFRESH);
  expect(first.peers()).toEqual([]);
  await nodeOf(store, "n2", { process: "the next" }).members.start();
  await pass(CACHE);
  expect(first.peers()).toEqual(["n2"]);
});

test("a late goodbye of the process before takes nothing from the one that is there now", async () => {
  const { store, first, second } = await cluster(2);
  const before = second.record.process;
  await second.members.stop();
  await nodeOf(store, "n2", { process: "the next" }).members.start();
  await pass(CACHE);
  first.members.left("n2", before);
  expect(first.peers()).toEqual(["n2"]);
  await pass(10 * REFRESH);
  expect(first.peers()).toEqual(["n2"]);
});

test("a process that overwrites the next one's record once more, and leaves, takes its node along only if the next one has not said that it is there", async () => {
  for (const told of [true, false]) {
    const { store, first, second } = await cluster(2);
    const old = new Map(store.texts);
    const next = nodeOf(store, "n2", { process: "the next" });
    await next.members.meet();
    await next.members.start();
    if (told) first.members.joined(next.record, next.members.predecessor);
    for (const [key, text] of old) store.texts.set(key, text);
    await first.members.refresh();
    first.members.left("n2", second.record.process);
    expect(first.peers()).toEqual(told ? ["n2"] : []);
    await Promise.all([first, second, next].map(({ members }) => members.stop()));
  }
});

test("a node that stops withdraws its own record, reads and writes no more, and leaves the store", async () => {
  const { store, first } = await cluster(2);
  await first.members.stop();
  expect([...store.texts.keys()]).toEqual([expect.stringMatching(/^n2_/)]);
  expect(store.closed).toBe(1);
  const others = store.reads;
  await pass(10 * REFRESH);
  expect([...store.texts.keys()]).toEqual([expect.stringMatching(/^n2_/)]);
  // What is read is read by the other one.
  expect(store.reads - others).toBe(Math.floor((10 * REFRESH) / CACHE));
});

test.each(["publishing again", "starting"])(
  "what a node is just writing, %s, when it is stopped does not come after the withdrawal",
  async (when) => {
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
      await pass(REFRESH + 10);
    }
    const stopping = node.members.stop();
    await pass(1000);
    await Promise.all([starting, stopping]);
    expect([...store.texts.keys()]).toEqual([]);
    expect(jest.getTimerCount()).toBe(0);
  },
);

test("a node that leaves before the others have seen that it is a new process is gone as well", async () => {
  const { store, first, second } = await cluster(2);
  const [record] = first.members.peers.map((peer) => peer.record);
  const next = nodeOf(store, "n2");
  await next.members.meet();
  expect(next.members.predecessor).toBe(record?.process);
  first.members.left("n2", "a process never seen", next.members.predecessor);
  expect(first.peers()).toEqual([]);
  await second.members.stop();
});
