import fc from "fast-check";
import type { Bid } from "../../../../lib/cluster/scheduling/bid";
import { ASK_ALL_LIMIT, loadOf, rank, SHORTLIST_SIZE, shortlist } from "../../../../lib/cluster/scheduling/scoring";

const share = fc.double({ min: 0, max: 1.5, noNaN: true });
const plainBid = fc.record({
  cpu: share,
  memory: share,
  reservedCpu: share,
  reservedMemory: share,
  recent: fc.double({ min: 0, max: 20, noNaN: true }),
  hasImage: fc.boolean(),
  hasVolumes: fc.boolean(),
  slots: fc.record({ taken: fc.nat({ max: 5 }), size: fc.integer({ min: 1, max: 3 }) }),
});
const bidsOf = (all: (Omit<Bid, "node" | "declines"> & { declines?: string | undefined })[]): Bid[] =>
  all.map(({ declines, ...bid }, index) => ({ ...bid, node: `n${index}`, ...(declines === undefined ? {} : { declines }) }));
const anyBids = fc
  .array(fc.tuple(plainBid, fc.option(fc.constantFrom("", "port 80/tcp is taken"), { nil: undefined })), { maxLength: 12 })
  .map((all) => bidsOf(all.map(([bid, declines]) => ({ ...bid, declines }))));

/** A seeded generator of numbers from 0 to below 1. */
function randomOf(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

const none = () => ({ all: 0, slots: 0 });
const idle = { cpu: 0, memory: 0, reservedCpu: 0, reservedMemory: 0, recent: 0, hasImage: true, hasVolumes: true };

test("every bid that does not decline is ranked once, and no other", () => {
  fc.assert(
    fc.property(anyBids, fc.integer(), (bids, seed) => {
      const ranked = rank(bids, none, randomOf(seed)).map(({ bid }) => bid.node);
      expect([...ranked].sort()).toEqual(
        bids
          .filter(({ declines }) => declines === undefined)
          .map(({ node }) => node)
          .sort(),
      );
    }),
  );
});

test("the order is: has the volumes, fewest waiting runs, has the image, least load", () => {
  fc.assert(
    fc.property(
      anyBids,
      fc.integer(),
      fc.func(fc.record({ all: fc.nat({ max: 5 }), slots: fc.nat({ max: 5 }) })),
      (bids, seed, underWay) => {
        const ranked = rank(bids, underWay, randomOf(seed));
        for (const [index, { bid, ahead, load }] of ranked.slice(1).entries()) {
          const before = ranked[index] as (typeof ranked)[0];
          expect(before.bid.hasVolumes || !bid.hasVolumes).toBe(true);
          if (before.bid.hasVolumes !== bid.hasVolumes) continue;
          expect(before.ahead).toBeLessThanOrEqual(ahead);
          if (before.ahead !== ahead) continue;
          expect(before.bid.hasImage || !bid.hasImage).toBe(true);
          if (before.bid.hasImage === bid.hasImage) expect(before.load).toBeLessThanOrEqual(load);
        }
      },
    ),
  );
});

test.each(["cpu", "memory", "reservedCpu", "reservedMemory", "recent"] as const)(
  "more %s never lowers the load nor improves the rank",
  (field) => {
    fc.assert(
      fc.property(plainBid, fc.double({ min: 0, max: 2, noNaN: true }), fc.integer(), (bid, more, seed) => {
        const [less, equal] = bidsOf([bid, { ...bid, [field]: bid[field] + more }]) as [Bid, Bid];
        expect(loadOf(equal)).toBeGreaterThanOrEqual(loadOf(less));
        if (loadOf(equal) > loadOf(less)) {
          for (const order of [
            [less, equal],
            [equal, less],
          ])
            expect(rank(order, none, randomOf(seed))[0]?.bid).toBe(less);
        }
      }),
    );
  },
);

test("less reserved memory ranks first, and an idle CPU does not hide full memory", () => {
  const first = (...bids: Omit<Bid, "node">[]) => rank(bidsOf(bids), none, () => 0)[0]?.bid.node;
  expect(first({ ...idle, reservedMemory: 0.6 }, { ...idle, reservedMemory: 0.5 })).toBe("n1");
  expect(first({ ...idle, cpu: 0, memory: 0.95 }, { ...idle, cpu: 0.6, memory: 0.6 })).toBe("n1");
});

test("a run in flight counts like a recent placement", () => {
  const bids = bidsOf([idle, idle]);
  const given = rank(bids, (node) => ({ all: node === "n0" ? 1 : 0, slots: 0 }), Math.random);
  expect(given.map(({ bid }) => bid.node)).toEqual(["n1", "n0"]);
  expect(given[1]?.load).toBe(loadOf({ ...idle, node: "n0", recent: 1 }));
});

test("ties are broken at random, evenly, and reproducibly for one seed", () => {
  const bids = bidsOf([idle, idle, idle]);
  const random = randomOf(1);
  const firsts = Array.from({ length: 3000 }, () => rank(bids, none, random)[0]?.bid.node);
  for (const node of ["n0", "n1", "n2"]) expect(firsts.filter((each) => each === node).length).toBeGreaterThan(800);
  fc.assert(
    fc.property(anyBids, fc.integer(), (some, seed) => {
      expect(rank(some, none, randomOf(seed))).toEqual(rank(some, none, randomOf(seed)));
    }),
  );
});

test("ranking does not alter the bids", () => {
  fc.assert(
    fc.property(anyBids, (bids) => {
      const before = structuredClone(bids);
      rank(bids, none, Math.random);
      expect(bids).toEqual(before);
    }),
  );
});

const engine = fc.constantFrom("ok" as const, "ok" as const, "down" as const);
const anyRecords = fc.array(fc.record({ load: share, engine }), { maxLength: 60 });

test("the shortlist is all of few nodes or some of many, without duplicates or nodes whose engine is down", () => {
  fc.assert(
    fc.property(anyRecords, fc.integer(), (records, seed) => {
      const asked = shortlist(records, randomOf(seed));
      const up = records.filter((record) => record.engine === "ok");
      expect(new Set(asked).size).toBe(asked.length);
      expect(asked.every((record) => up.includes(record))).toBe(true);
      if (records.length <= ASK_ALL_LIMIT) expect(asked).toEqual(up);
      else expect(asked).toHaveLength(Math.min(SHORTLIST_SIZE, up.length));
      expect(shortlist(records, randomOf(seed))).toEqual(asked);
    }),
    { numRuns: 500 },
  );
});

test("a few nodes that are up are found among many that are down", () => {
  const records = Array.from({ length: 1000 }, (_, index) => ({ load: 0, engine: index > 996 ? ("ok" as const) : ("down" as const) }));
  for (const random of [() => 0, () => 0.999_999, Math.random]) expect(shortlist(records, random)).toHaveLength(3);
});

test("every node is shortlisted sometimes, those with busy records less often", () => {
  const records = Array.from({ length: 40 }, (_, index) => ({ load: index / 40, engine: "ok" as const }));
  const random = randomOf(7);
  const times = new Map<object, number>();
  for (let round = 0; round < 2000; round += 1)
    for (const record of shortlist(records, random)) times.set(record, (times.get(record) ?? 0) + 1);
  const of = (index: number) => times.get(records[index] as object) ?? 0;
  expect(times.size).toBeGreaterThan(35);
  expect(of(0)).toBeGreaterThan(2 * of(36));
});

test("a run that needs a slot waits behind the slots taken or in flight, whichever are more", () => {
  const ahead = (taken: number, given: number) =>
    rank(bidsOf([{ ...idle, slots: { taken, size: 2 } }]), () => ({ all: given, slots: given }), Math.random)[0]?.ahead;
  expect([ahead(0, 0), ahead(1, 0), ahead(2, 0), ahead(3, 1), ahead(0, 2), ahead(1, 4)]).toEqual([0, 0, 1, 2, 1, 3]);
  expect(rank(bidsOf([idle]), () => ({ all: 9, slots: 9 }), Math.random)[0]?.ahead).toBe(0);
});
