import { type Bid, loadOf, type Ranked, rank, shortlist } from "../lib/cluster/scheduling/scoring";

/** One simulated node. Loads are shares of a machine. */
export interface SimulatedNode {
  name: string;
  /** what its containers come to use */
  true: number;
  /** what it measures of itself: new containers take a while to be busy */
  measured: number;
  /** placements of late, fading, as the bidder counts them */
  recent: number;
  /** the load of its last record */
  load: number;
  engine: "ok";
}

/** Who decides: knows what was given from here and not heard of yet. */
export interface Entry {
  node: SimulatedNode;
  underWay: Map<string, number>;
}

/** Chooses a node for a run. `bids` is how many nodes were asked over the network. */
export type Policy = (nodes: readonly SimulatedNode[], entry: Entry) => { node: SimulatedNode; bids: number };

const pick = <T>(list: readonly T[]) => list[Math.floor(Math.random() * list.length)] as T;

function least(nodes: readonly SimulatedNode[], by: (node: SimulatedNode) => number): SimulatedNode {
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

/** What is compared. `ours` asks the entry's own node and a shortlist of all, as the server does, with the server's code. */
export const policies = {
  ours(nodes, { node: own, underWay }) {
    const asked = shortlist(nodes, Math.random).filter((node) => node !== own);
    const candidates = [own, ...asked];
    const ranked = rank(candidates.map(bidOf), (name) => ({ all: underWay.get(name) ?? 0, slots: 0 }), Math.random);
    const { bid } = ranked[0] as Ranked;
    return { node: candidates.find(({ name }) => name === bid.node) as SimulatedNode, bids: asked.length };
  },
  random: (nodes) => ({ node: pick(nodes), bids: 0 }),
  "least on records": (nodes) => ({ node: least(nodes, (node) => node.load), bids: 0 }),
  "best of two, live": (nodes) => ({ node: least([pick(nodes), pick(nodes)], (node) => loadOf(bidOf(node))), bids: 2 }),
  "optimum, all fresh": (nodes) => ({ node: least(nodes, (node) => node.true), bids: nodes.length - 1 }),
} satisfies Record<string, Policy>;

/** What is simulated, times in seconds. */
export const SCENE = {
  recordAge: 30,
  length: 180,
  burstEvery: 10,
  /** runs a node and burst */
  runs: 1,
  /** through so many nodes, each with so many requests that know nothing of each other */
  entries: 8,
  abreast: 4,
  /** a container takes so much of a machine, on average */
  weight: 0.02,
  /** a container is this busy after about so long */
  lag: 10,
  /** of the bidder */
  halfLife: 20,
  /** loads at the start */
  start: [0.05, 0.45],
} as const;

/** What became of one game. */
export interface Outcome {
  p99: number;
  worst: number;
  /** nodes asked for a bid, a run */
  bids: number;
}

/** Plays bursts on `count` nodes. */
export function play(count: number, policy: Policy, live: boolean): Outcome {
  const nodes: SimulatedNode[] = Array.from({ length: count }, (_, index) => {
    const load = SCENE.start[0] + (SCENE.start[1] - SCENE.start[0]) * Math.random();
    return { name: String(index), true: load, measured: load, recent: 0, load, engine: "ok" };
  });
  let bids = 0;
  let runs = 0;
  // Records are written at moments of their own.
  const turn = nodes.map(() => Math.floor(Math.random() * SCENE.recordAge));
  for (let second = 0; second < SCENE.length; second += 1) {
    nodes.forEach((node, index) => {
      node.measured += (node.true - node.measured) / SCENE.lag;
      node.recent *= 0.5 ** (1 / SCENE.halfLife);
      if (second % SCENE.recordAge === turn[index]) node.load = loadOf(bidOf(node));
    });
    if (second % SCENE.burstEvery === 0) {
      const many = Math.max(1, Math.round(count * SCENE.runs));
      bids += burst(nodes, many, policy, live);
      runs += many;
    }
  }
  const loads = nodes.map((node) => node.true).sort((a, b) => a - b);
  const at = Math.min(count - 1, Math.ceil(count * 0.99) - 1);
  return { p99: loads[at] as number, worst: loads[count - 1] as number, bids: bids / runs };
}

/** Requests come in waves: those of one wave are decided before any of them has been accepted anywhere. */
function burst(nodes: readonly SimulatedNode[], runs: number, policy: Policy, live: boolean): number {
  const entries: Entry[] = Array.from({ length: Math.min(SCENE.entries, nodes.length) }, () => ({
    node: pick(nodes),
    underWay: new Map(),
  }));
  const wave = live ? entries.length * SCENE.abreast : 1;
  let bids = 0;
  for (let left = runs; left > 0; left -= wave) {
    const chosen = Array.from({ length: Math.min(wave, left) }, (_, index) => {
      const entry = entries[index % entries.length] as Entry;
      const { node, bids: asked } = policy(nodes, entry);
      bids += asked;
      // Until its container has started, which takes longer than a burst.
      entry.underWay.set(node.name, (entry.underWay.get(node.name) ?? 0) + 1);
      return node;
    });
    for (const node of chosen) {
      node.true += -Math.log(1 - Math.random()) * SCENE.weight;
      node.recent += 1;
    }
  }
  return bids;
}
