import type { Bid } from "../lib/cluster/scheduling/bid";
import { loadOf, type RankedBid, rank, shortlist } from "../lib/cluster/scheduling/scoring";

/** A simulated node. Loads are shares of a machine, 0 to 1. */
export interface SimulatedNode {
  name: string;
  /** what its containers will use */
  true: number;
  /** its own measurement, which lags: new containers need time to become busy */
  measured: number;
  /** recent placements, decaying, as the bidder counts them */
  recent: number;
  /** load in its last record */
  load: number;
  engine: "ok";
}

/** The node that decides, with its own placements that are not confirmed yet. */
export interface EntryNode {
  node: SimulatedNode;
  underWay: Map<string, number>;
}

/** Chooses a node for a run. `bids`: number of nodes asked over the network. */
export type Policy = (nodes: readonly SimulatedNode[], entry: EntryNode) => { node: SimulatedNode; bids: number };

const pickRandom = <T>(list: readonly T[]) => list[Math.floor(Math.random() * list.length)] as T;

function minBy(nodes: readonly SimulatedNode[], by: (node: SimulatedNode) => number): SimulatedNode {
  let best = nodes[0] as SimulatedNode;
  let bestBy = by(best);
  for (const node of nodes) {
    const own = by(node);
    if (own < bestBy) [best, bestBy] = [node, own];
  }
  return best;
}

function bidOf(node: SimulatedNode): Bid {
  const { name, measured, recent } = node;
  return { node: name, cpu: measured, memory: 0, reservedCpu: 0, reservedMemory: 0, recent, hasImage: true, hasVolumes: true };
}

/** The compared policies. `ours` runs the server's own code: it asks the entry node and a shortlist of all nodes. */
export const policies = {
  ours(nodes, { node: own, underWay }) {
    const asked = shortlist(nodes, Math.random).filter((node) => node !== own);
    const candidates = [own, ...asked];
    const ranked = rank(candidates.map(bidOf), (name) => ({ all: underWay.get(name) ?? 0, slots: 0 }), Math.random);
    const { bid } = ranked[0] as RankedBid;
    return { node: candidates.find(({ name }) => name === bid.node) as SimulatedNode, bids: asked.length };
  },
  random: (nodes) => ({ node: pickRandom(nodes), bids: 0 }),
  "least on records": (nodes) => ({ node: minBy(nodes, (node) => node.load), bids: 0 }),
  "best of two, live": (nodes) => ({ node: minBy([pickRandom(nodes), pickRandom(nodes)], (node) => loadOf(bidOf(node))), bids: 2 }),
  "optimum, all fresh": (nodes) => ({ node: minBy(nodes, (node) => node.true), bids: nodes.length - 1 }),
} satisfies Record<string, Policy>;

/** Parameters of the simulation; times in seconds. */
export const SCENARIO = {
  recordAge: 30,
  length: 180,
  burstEvery: 10,
  /** runs per node and burst */
  runs: 1,
  /** entry nodes, and concurrent requests on each that don't see each other */
  entries: 8,
  concurrency: 4,
  /** mean share of a machine that a container uses */
  weight: 0.02,
  /** time constant until a container uses its share */
  lag: 10,
  /** half-life of recent placements, as in the bidder */
  halfLife: 20,
  /** range of the initial loads */
  start: [0.05, 0.45],
} as const;

/** Result of one simulation. */
export interface SimulationResult {
  p99: number;
  worst: number;
  /** nodes asked per run */
  bids: number;
}

/** Simulates bursts on `count` nodes. */
export function simulate(count: number, policy: Policy, live: boolean): SimulationResult {
  const nodes: SimulatedNode[] = Array.from({ length: count }, (_, index) => {
    const load = SCENARIO.start[0] + (SCENARIO.start[1] - SCENARIO.start[0]) * Math.random();
    return { name: String(index), true: load, measured: load, recent: 0, load, engine: "ok" };
  });
  let bids = 0;
  let runs = 0;
  // Each node writes its record at its own offset.
  const turn = nodes.map(() => Math.floor(Math.random() * SCENARIO.recordAge));
  for (let second = 0; second < SCENARIO.length; second += 1) {
    nodes.forEach((node, index) => {
      node.measured += (node.true - node.measured) / SCENARIO.lag;
      node.recent *= 0.5 ** (1 / SCENARIO.halfLife);
      if (second % SCENARIO.recordAge === turn[index]) node.load = loadOf(bidOf(node));
    });
    if (second % SCENARIO.burstEvery === 0) {
      const many = Math.max(1, Math.round(count * SCENARIO.runs));
      bids += simulateBurst(nodes, many, policy, live);
      runs += many;
    }
  }
  const loads = nodes.map((node) => node.true).sort((a, b) => a - b);
  const at = Math.min(count - 1, Math.ceil(count * 0.99) - 1);
  return { p99: loads[at] as number, worst: loads[count - 1] as number, bids: bids / runs };
}

/** Requests come in waves: all requests of a wave are decided before any of them is accepted. */
function simulateBurst(nodes: readonly SimulatedNode[], runs: number, policy: Policy, live: boolean): number {
  const entries: EntryNode[] = Array.from({ length: Math.min(SCENARIO.entries, nodes.length) }, () => ({
    node: pickRandom(nodes),
    underWay: new Map(),
  }));
  const wave = live ? entries.length * SCENARIO.concurrency : 1;
  let bids = 0;
  for (let left = runs; left > 0; left -= wave) {
    const chosen = Array.from({ length: Math.min(wave, left) }, (_, index) => {
      const entry = entries[index % entries.length] as EntryNode;
      const { node, bids: asked } = policy(nodes, entry);
      bids += asked;
      // Stays for the whole burst: a container takes longer to start.
      entry.underWay.set(node.name, (entry.underWay.get(node.name) ?? 0) + 1);
      return node;
    });
    for (const node of chosen) {
      node.true += -Math.log(1 - Math.random()) * SCENARIO.weight;
      node.recent += 1;
    }
  }
  return bids;
}
