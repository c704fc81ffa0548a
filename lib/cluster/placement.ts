import type { NodeRecord } from "./record";

/** What a run needs of its node. */
export interface Needs {
  image: string;
  /** an image that isn't there is no hindrance: it is pulled anyway */
  pull: "missing" | "always" | "never";
  /** host ports, as port/protocol */
  ports: string[];
  /** named volumes */
  volumes: string[];
  /** bytes; 0 if nothing was said */
  memory: number;
  /** cores; 0 if nothing was said */
  cpus: number;
}

/** What a node says when it is asked to take a run. */
export interface Bid {
  node: string;
  /** why it can't take it; the rest then doesn't count */
  declines?: string;
  /** measured, each from 0 (idle) to 1 */
  cpu: number;
  memory: number;
  /** reserved by what runs here or has been accepted, as a share of what there is */
  reservedCpu: number;
  reservedMemory: number;
  /** placements of late, fading: they don't use yet what they will */
  recent: number;
  hasImage: boolean;
  hasVolumes: boolean;
}

/** With so many nodes or fewer all are asked. */
export const ASK_ALL = 8;
/** Of more nodes so many are asked. */
export const SAMPLE = 6;
/** By their records the busiest of many are left out; no more than these, or all who share a record would run to the same few. */
export const IDLER_SHARE = 0.9;
/** How much one placement of late weighs against a whole machine's load. */
export const STEP = 0.05;

/**
 * A node's load: the scarcer of CPU and memory, measured or reserved, whichever is more, and what was placed of late.
 * Never their product: an idle CPU must not hide full memory.
 */
export function loadOf(bid: Bid): number {
  return Math.max(bid.cpu, bid.reservedCpu, bid.memory, bid.reservedMemory) + STEP * bid.recent;
}

/**
 * Chooses which nodes to ask. Records are old when they are read: they only serve to leave out the busiest where there are many.
 * @param random from 0 to 1
 */
export function shortlist<R extends Pick<NodeRecord, "load" | "engine">>(records: readonly R[], random: () => number): R[] {
  const alive = records.filter((record) => record.engine === "ok");
  if (alive.length <= ASK_ALL) return alive;
  const sorted = alive.map((record) => record.load).sort((a, b) => a - b);
  const busy = sorted[Math.floor(sorted.length * IDLER_SHARE)] as number;
  const idler = alive.filter((record) => record.load <= busy);
  return sample(idler, SAMPLE, random);
}

function sample<R>(from: readonly R[], count: number, random: () => number): R[] {
  const rest = [...from];
  const chosen: R[] = [];
  while (chosen.length < count && rest.length > 0) {
    const index = Math.floor(random() * rest.length);
    chosen.push(rest[index] as R);
    rest[index] = rest[rest.length - 1] as R;
    rest.pop();
  }
  return chosen;
}

export interface Ranked {
  bid: Bid;
  /** what decided: less is better */
  load: number;
}

/**
 * Puts bids in the order in which they are to be tried: who has the volumes, then who has the image, then who is idler; chance decides between equals.
 * @param underWay how many runs this node has given to each and not heard of yet: their bids can't know of them
 * @returns those that don't decline
 */
export function rank(bids: readonly Bid[], underWay: (node: string) => number, random: () => number): Ranked[] {
  return bids
    .filter((bid) => bid.declines === undefined)
    .map((bid) => ({ bid, load: loadOf(bid) + STEP * underWay(bid.node), lot: random() }))
    .sort(
      (a, b) =>
        Number(b.bid.hasVolumes) - Number(a.bid.hasVolumes) ||
        Number(b.bid.hasImage) - Number(a.bid.hasImage) ||
        a.load - b.load ||
        a.lot - b.lot,
    )
    .map(({ bid, load }) => ({ bid, load }));
}
