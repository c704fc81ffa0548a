import fc from "fast-check";
import type { Store } from "../../../../lib/cluster/membership/store/store";

/** Letters, digits, dashes and underscores are the characters of a node's key. */
const key = fc.string({ unit: fc.constantFrom(..."abcXYZ019-_"), minLength: 1, maxLength: 80 });
const text = fc.string({ unit: "binary", minLength: 1, maxLength: 2000 }).map((value) => value.replace(/[\ud800-\udfff]/g, "?"));

/** A place shared by several nodes, each with its own store on it. */
export interface SharedPlace {
  node(): Store;
  /** Adds entries that are no records. */
  addUnrelatedEntries(): Promise<void>;
}

/**
 * Tests the behaviour that all stores have in common.
 * @param createPlace creates an empty shared place
 */
export function behavesAsAStore(createPlace: () => Promise<SharedPlace>): void {
  const used: Store[] = [];
  const make = async (count: number): Promise<Store[]> => {
    const shared = await createPlace();
    const stores = Array.from({ length: count }, () => shared.node());
    used.push(...stores);
    return stores;
  };
  afterEach(async () => {
    await Promise.all(used.splice(0).map((store) => store.close()));
  });

  test("a record that one node publishes is read by the others until it is withdrawn", async () => {
    const [one, two, three] = (await make(3)) as [Store, Store, Store];
    await one.publish("a", "record of a");
    await two.publish("b", "record of b");
    expect(await three.read()).toEqual(
      new Map([
        ["a", "record of a"],
        ["b", "record of b"],
      ]),
    );
    await one.withdraw("a");
    expect(await three.read()).toEqual(new Map([["b", "record of b"]]));
    await one.withdraw("a");
    expect(await two.read()).toEqual(new Map([["b", "record of b"]]));
  });

  test("a text replaces the previous one of its key, even with the same length", async () => {
    const [one, two] = (await make(2)) as [Store, Store];
    for (const value of ["first", "again", "third, and longer"]) {
      await one.publish("a", value);
      expect((await two.read()).get("a")).toBe(value);
    }
  });

  test("any key and text is read as it was published", async () => {
    const [one, two] = (await make(2)) as [Store, Store];
    await fc.assert(
      fc.asyncProperty(fc.dictionary(key, text, { maxKeys: 4, noNullPrototype: true }), async (texts) => {
        for (const [each, value] of Object.entries(texts)) await one.publish(each, value);
        expect(await two.read()).toEqual(new Map(Object.entries(texts)));
        for (const each of Object.keys(texts)) await one.withdraw(each);
      }),
      { numRuns: 15 },
    );
  });

  test("during concurrent writes a reader sees each text complete, old or new", async () => {
    const stores = await make(4);
    const reader = stores.pop() as Store;
    const textOf = (node: number, round: number) => `${node} ${round} `.padEnd(4000, String(round % 10));
    const rounds = 25;
    let writing = true;
    const writers = stores.map(async (store, node) => {
      for (let round = 0; round < rounds; round += 1) {
        // The same key twice in parallel, like a slow publication and the next one.
        await Promise.all([store.publish(`n${node}`, textOf(node, round)), store.publish(`n${node}`, textOf(node, round))]);
      }
    });
    const finished = Promise.all(writers).finally(() => {
      writing = false;
    });
    const valid = stores.map((_store, node) => new Set(Array.from({ length: rounds }, (_, round) => textOf(node, round))));
    let seen = 0;
    while (writing) {
      for (const [each, value] of await reader.read()) {
        expect(valid[Number(each.slice(1))]?.has(value)).toBe(true);
        seen += 1;
      }
    }
    await finished;
    expect(seen).toBeGreaterThan(0);
    expect([...(await reader.read()).values()]).toEqual(expect.arrayContaining(stores.map((_store, node) => textOf(node, rounds - 1))));
  });

  test("unrelated entries are skipped", async () => {
    const shared = await createPlace();
    const store = shared.node();
    used.push(store);
    await store.publish("a", "record of a");
    await shared.addUnrelatedEntries();
    expect(await store.read()).toEqual(new Map([["a", "record of a"]]));
  });
}
