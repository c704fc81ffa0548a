import { table } from "table";
import { ASK_ALL_LIMIT, LOAD_PER_PLACEMENT, SHORTLIST_SIZE } from "../lib/cluster/scheduling/scoring";
import { type Policy, policies, SCENARIO, type SimulationResult, simulate } from "./placement-model";

/** Node counts and repetitions: small pools give few samples each. */
const SIZES = [
  { count: 10, games: 60 },
  { count: 100, games: 20 },
  { count: 1000, games: 3 },
  { count: 10_000, games: 1 },
];
const TARGET_RATIO = 1.15;
const OPTIMUM_POLICY = "optimum, all fresh";
/** Defaults of --refresh_rate and --cache_interval, in seconds. */
const REFRESH_SECONDS = 30;
const READ_SECONDS = 3;

function averageOf(count: number, games: number, name: string, policy: Policy): SimulationResult {
  const outcomes = Array.from({ length: games }, () => simulate(count, policy, name !== OPTIMUM_POLICY));
  const mean = (of: (outcome: SimulationResult) => number) => outcomes.reduce((sum, outcome) => sum + of(outcome), 0) / games;
  return { p99: mean(({ p99 }) => p99), worst: mean(({ worst }) => worst), bids: mean(({ bids }) => bids) };
}

/** One row per policy; p99 and worst relative to the optimum. */
function rowsFor(count: number, games: number): string[][] {
  const best = averageOf(count, games, OPTIMUM_POLICY, policies[OPTIMUM_POLICY]);
  return Object.entries(policies).map(([name, policy]) => {
    const { p99, worst, bids } = name === OPTIMUM_POLICY ? best : averageOf(count, games, name, policy);
    const ratio = p99 / best.p99;
    // Request and response of each bid and of the run; the name question goes to all nodes and has a column of its own.
    const messages = 2 * bids + 2;
    const verdict = name === "ours" ? `≤ ${TARGET_RATIO}: ${ratio <= TARGET_RATIO ? "met" : "MISSED"}` : "";
    return [
      ...[String(count), name, p99.toFixed(2), ratio.toFixed(2), (worst / best.worst).toFixed(2), verdict],
      ...[bids.toFixed(1), messages.toFixed(0), String(2 * (count - 1))],
    ];
  });
}

/** Store requests per minute of one node; S3 gets are only those of changed records. */
function storeRowFor(count: number): string[] {
  const writes = 60 / REFRESH_SECONDS;
  const reads = 60 / READ_SECONDS;
  const lists = reads * Math.ceil(count / 1000);
  const gets = writes * (count - 1);
  return [String(count), `${writes + 2 * reads}`, `${writes + lists} + ${gets} gets`, `${writes + reads} + ${gets} files`];
}

const alignNumbers = (columns: number, left: number) => ({
  columns: Array.from({ length: columns }, (_, column) => ({ alignment: column < left ? ("left" as const) : ("right" as const) })),
});

console.log(
  `Bursts every ${SCENARIO.burstEvery} s of ${SCENARIO.runs} run(s) a node, through ${SCENARIO.entries} nodes with ${SCENARIO.concurrency} concurrent requests on each; ` +
    `records ${SCENARIO.recordAge} s old; starting loads ${SCENARIO.start.join(" to ")}; a container uses ${SCENARIO.weight} on average.\n` +
    `Ours asks all of up to ${ASK_ALL_LIMIT} nodes, else ${SHORTLIST_SIZE}; a recent placement weighs ${LOAD_PER_PLACEMENT}.`,
);
const head = ["nodes", "policy", "p99 load", "p99 / optimum", "worst / optimum", "target", "bids", "messages", "name question"];
const all = SIZES.flatMap(({ count, games }) => rowsFor(count, games));
console.log(
  table([head, ...all], { ...alignNumbers(head.length, 2), drawHorizontalLine: (i, n) => i < 2 || i === n || (i - 1) % 5 === 0 }),
);
console.log("Requests a minute that one node makes to the store, whatever the traffic:");
console.log(table([["nodes", "Redis", "S3", "folder"], ...SIZES.map(({ count }) => storeRowFor(count))], alignNumbers(4, 0)));
process.exitCode = all.some((row) => row.includes(`≤ ${TARGET_RATIO}: MISSED`)) ? 1 : 0;
