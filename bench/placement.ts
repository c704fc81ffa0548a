import { table } from "table";
import { ASK_ALL, SAMPLE, STEP } from "../lib/cluster/scheduling/scoring";
import { type Outcome, type Policy, play, policies, SCENE } from "./placement-model";

/** Nodes, and how often the game is played: few nodes give few numbers. */
const SIZES = [
  { count: 10, games: 60 },
  { count: 100, games: 20 },
  { count: 1000, games: 3 },
  { count: 10_000, games: 1 },
];
const TARGET = 1.15;
const OPTIMUM = "optimum, all fresh";
/** As the server's settings are unless told otherwise, in seconds. */
const REFRESH = 30;
const READ = 3;

function average(count: number, games: number, name: string, policy: Policy): Outcome {
  const outcomes = Array.from({ length: games }, () => play(count, policy, name !== OPTIMUM));
  const mean = (of: (outcome: Outcome) => number) => outcomes.reduce((sum, outcome) => sum + of(outcome), 0) / games;
  return { p99: mean(({ p99 }) => p99), worst: mean(({ worst }) => worst), bids: mean(({ bids }) => bids) };
}

/** One row a policy; p99 and worst as multiples of the optimum's. */
function rows(count: number, games: number): string[][] {
  const best = average(count, games, OPTIMUM, policies[OPTIMUM]);
  return Object.entries(policies).map(([name, policy]) => {
    const { p99, worst, bids } = name === OPTIMUM ? best : average(count, games, name, policy);
    const ratio = p99 / best.p99;
    // A question and an answer each; the run itself; the name is asked of all others.
    const messages = 2 * bids + 2;
    const verdict = name === "ours" ? `≤ ${TARGET}: ${ratio <= TARGET ? "met" : "MISSED"}` : "";
    return [
      ...[String(count), name, p99.toFixed(2), ratio.toFixed(2), (worst / best.worst).toFixed(2), verdict],
      ...[bids.toFixed(1), messages.toFixed(0), String(2 * (count - 1))],
    ];
  });
}

/** What the stores are asked in a minute by one node; a bucket's gets are of records that have changed. */
function storeRows(count: number): string[] {
  const writes = 60 / REFRESH;
  const reads = 60 / READ;
  const lists = reads * Math.ceil(count / 1000);
  const gets = writes * (count - 1);
  return [String(count), `${writes + 2 * reads}`, `${writes + lists} + ${gets} gets`, `${writes + reads} + ${gets} files`];
}

const numbers = (columns: number, left: number) => ({
  columns: Array.from({ length: columns }, (_, column) => ({ alignment: column < left ? ("left" as const) : ("right" as const) })),
});

console.log(
  `Bursts every ${SCENE.burstEvery} s of ${SCENE.runs} run(s) a node, through ${SCENE.entries} nodes with ${SCENE.abreast} requests abreast each; ` +
    `records ${SCENE.recordAge} s old; starting loads ${SCENE.start.join(" to ")}; a container uses ${SCENE.weight} on average.\n` +
    `Ours asks all of up to ${ASK_ALL} nodes, else ${SAMPLE}; a placement of late weighs ${STEP}.`,
);
const head = ["nodes", "policy", "p99 load", "p99 / optimum", "worst / optimum", "target", "bids", "messages", "name question"];
const all = SIZES.flatMap(({ count, games }) => rows(count, games));
console.log(table([head, ...all], { ...numbers(head.length, 2), drawHorizontalLine: (i, n) => i < 2 || i === n || (i - 1) % 5 === 0 }));
console.log("Requests a minute that one node makes to the store, whatever the traffic:");
console.log(table([["nodes", "Redis", "S3", "folder"], ...SIZES.map(({ count }) => storeRows(count))], numbers(4, 0)));
process.exitCode = all.some((row) => row.includes(`≤ ${TARGET}: MISSED`)) ? 1 : 0;
