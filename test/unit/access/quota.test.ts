import fc from "fast-check";
import { decideQuota, type Max, NO_USE, type NodeUse, QUOTA_NAMES, type Use } from "../../../lib/access/quota";
import type { AppError } from "../../../lib/errors";

const use = (fields: Partial<Use>): Use => ({ ...NO_USE, ...fields });
const OWN = "2";

/** @returns "refused" instead of an error */
function decide(max: Max, nodes: NodeUse[]): string {
  try {
    return decideQuota(max, nodes, OWN);
  } catch (error) {
    expect(error).toMatchObject({ code: "REFUSED_BY_TOKEN", details: { caveat: "max" } });
    return "refused";
  }
}

const amounts = fc.record({
  containers: fc.integer({ min: 0, max: 3 }),
  memory: fc.integer({ min: 0, max: 3000 }),
  cpus: fc.integer({ min: 0, max: 30 }).map((tenths) => tenths / 10),
  runs: fc.integer({ min: 0, max: 3 }),
});
const pending = fc.record({ claim: fc.constantFrom("1", OWN, "3"), use: amounts });
const nodes = fc.array(fc.record({ settled: amounts, pending: fc.array(pending, { maxLength: 3 }) }), { minLength: 1, maxLength: 3 });
const limits = fc.record(
  {
    containers: fc.integer({ min: 0, max: 12 }),
    memory: fc.integer({ min: 0, max: 12_000 }),
    cpus: fc.integer({ min: 0, max: 120 }).map((tenths) => tenths / 10),
    runs: fc.integer({ min: 0, max: 12 }),
  },
  { requiredKeys: [] },
) as fc.Arbitrary<Max>;

const total = (all: NodeUse[], name: keyof Use, counts: (claim: string) => boolean) =>
  all
    .flatMap((node) => [node.settled, ...node.pending.filter(({ claim }) => counts(claim)).map((each) => each.use)])
    .reduce((sum, each) => sum + Math.round(each[name] * 10), 0);
const isPassed = (all: NodeUse[], max: Max, counts: (claim: string) => boolean) =>
  QUOTA_NAMES.some((name) => max[name] !== undefined && total(all, name, counts) > Math.round((max[name] as number) * 10));

describe("a quota", () => {
  test("is never passed by what fits, and refuses exactly what doesn't fit beside what exists and earlier claims", () => {
    fc.assert(
      fc.property(nodes, limits, (all, max) => {
        const expected = isPassed(all, max, (claim) => claim <= OWN) ? "refused" : isPassed(all, max, () => true) ? "wait" : "fits";
        expect(decide(max, all)).toBe(expected);
      }),
      { numRuns: 2000 },
    );
  });

  test("never permits more when anything else is used, or when it is smaller", () => {
    const rank = { fits: 0, wait: 1, refused: 2 } as Record<string, number>;
    fc.assert(
      fc.property(nodes, limits, amounts, fc.constantFrom(...QUOTA_NAMES), (all, max, more, name) => {
        const before = rank[decide(max, all)] as number;
        expect(rank[decide(max, [...all, { settled: more, pending: [] }])]).toBeGreaterThanOrEqual(before);
        const smaller = { ...max, [name]: Math.max(0, (max[name] ?? 5) - 1) };
        expect(rank[decide(smaller, all)]).toBeGreaterThanOrEqual(before);
      }),
    );
  });

  test("adds parts of cores exactly: ten times 0.1 is 1", () => {
    const all = [{ settled: NO_USE, pending: Array.from({ length: 10 }, () => ({ claim: OWN, use: use({ cpus: 0.1 }) })) }];
    expect(decide({ cpus: 1 }, all)).toBe("fits");
    expect(decide({ cpus: 0.9 }, all)).toBe("refused");
  });

  test("refuses with the caveat, what is limited, the limit, what is used and what was asked for", () => {
    const all: NodeUse[] = [
      { settled: use({ memory: 600 }), pending: [{ claim: "1", use: use({ memory: 300 }) }] },
      { settled: NO_USE, pending: [{ claim: OWN, use: use({ memory: 200 }) }] },
    ];
    try {
      decideQuota({ memory: 1000 }, all, OWN);
      throw new Error("it fits");
    } catch (error) {
      expect((error as AppError).details).toEqual({ caveat: "max", quota: "memory", limit: 1000, used: 900, requested: 200 });
      expect((error as AppError).message).toContain("of at most 1000 memory, 900 are used and this needs 200");
      expect((error as AppError).status).toBe(403);
    }
  });
});
