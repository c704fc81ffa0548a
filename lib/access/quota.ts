import type { AppError } from "../errors";
import { refusedBy } from "./access";
import type { Caveats } from "./caveats";

/** What a quota can limit; the names are those of the `max` caveat. */
export const QUOTA_NAMES = ["containers", "memory", "cpus", "runs"] as const;

/** Numbers of containers and runs, bytes, cores. */
export type Use = Record<(typeof QUOTA_NAMES)[number], number>;

/** What the containers of one node that have certain labels use. */
export interface NodeUse {
  settled: Use;
  /** Of containers that wait until they are known to fit. Of two claims the smaller is the earlier one, and the other gives way. */
  pending: { claim: string; use: Use }[];
}

export type Max = NonNullable<Caveats["max"]>;

export const NO_USE: Use = { containers: 0, memory: 0, cpus: 0, runs: 0 };

/**
 * Decides whether what a claim adds fits into a quota. It fits only if everything that exists anywhere does, later claims too: then, in
 * whatever order messages arrive, of all that fit the one created last has counted the others, so that the limit is never passed.
 * @param nodes what all nodes count, after the claim's own container was created
 * @param claim of the asking node; its own use is among the pending
 * @returns "wait" if it fits unless later claims do, which will give way
 * @throws AppError REFUSED_BY_TOKEN max
 */
export function decideQuota(max: Max, nodes: readonly NodeUse[], claim: string): "fits" | "wait" {
  const pending = nodes.flatMap((node) => node.pending);
  const used = sumUse([...nodes.map(({ settled }) => settled), ...pending.filter((each) => each.claim < claim).map(({ use }) => use)]);
  const own = sumUse(pending.filter((each) => each.claim === claim).map(({ use }) => use));
  const later = sumUse(pending.filter((each) => each.claim > claim).map(({ use }) => use));
  const passed = firstPassed(max, sumUse([used, own]));
  if (passed) throw quotaError(max, passed, used, own);
  return firstPassed(max, sumUse([used, own, later])) ? "wait" : "fits";
}

/** Everything that nodes count, whether it will be started or not. */
export function totalUse(nodes: readonly NodeUse[]): Use {
  return sumUse(nodes.flatMap(({ settled, pending }) => [settled, ...pending.map(({ use }) => use)]));
}

export function sumUse(uses: readonly Use[]): Use {
  return combine(uses, (a, b) => a + b);
}

/** The larger of each. */
export function maxUse(uses: readonly Use[]): Use {
  return combine(uses, Math.max);
}

function combine(uses: readonly Use[], join: (a: number, b: number) => number): Use {
  return uses.reduce((all, use) => fromNames((name) => join(all[name], use[name])), NO_USE);
}

/** @returns what the first adds to the second */
export function subtractUse(all: Use, part: Use): Use {
  return fromNames((name) => Math.max(0, all[name] - part[name]));
}

function fromNames(value: (name: keyof Use) => number): Use {
  return Object.fromEntries(QUOTA_NAMES.map((name) => [name, value(name)])) as Use;
}

/** Sums of cores are not exact: the engine counts billionths. */
const SMALLEST_PART = 1e-9;

function firstPassed(max: Max, use: Use): keyof Use | undefined {
  return QUOTA_NAMES.find((name) => use[name] - (max[name] ?? Number.POSITIVE_INFINITY) >= SMALLEST_PART);
}

function quotaError(max: Max, quota: keyof Use, used: Use, requested: Use): AppError {
  const details = { quota, limit: max[quota], used: used[quota], requested: requested[quota] };
  const hint = quota === "memory" || quota === "cpus" ? `; give ${quota}: a container without a limit counts as all of its node` : "";
  const why = `of at most ${details.limit} ${quota}, ${details.used} are used and this needs ${details.requested}${hint}`;
  return refusedBy("max", why, details);
}
