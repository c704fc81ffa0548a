import type { NodeRecord } from "../membership/record";

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
  /** Whether it is one of those runs of which a node takes only so many at a time. */
  slot: boolean;
  /** Whether the host must have docker compose. */
  compose?: boolean | undefined;
}

/** What a node says when it is asked to take a run. */
export interface Bid {
  node: string;
  /** why it can't take it; the rest then doesn't count */
  declines?: string;
  /** the error that this is, were there no other node */
  code?: "PORT_TAKEN" | "IMAGE_NOT_FOUND";
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
  /** of those runs of which it takes only so many at a time: those that are there, and how many it takes; absent if this is another */
  slots?: { taken: number; size: number };
}

/** With so many nodes or fewer all are asked. */
export const ASK_ALL = 8;
/** Of more nodes so many are drawn by chance: if all ran to those that look idle in records of half a minute ago, they would soon be the busiest. */
export const DRAWN = 8;
/** Of those drawn, so many that are the idlest by their records are asked. */
export const SAMPLE = 6;
/** How much one placement of late weighs against a whole machine's load. */
export const STEP = 0.05;

/** How much the less scarce of CPU and memory counts: among nodes of equally busy CPUs the one with memory to spare is better. */
const SECOND = 0.5;

/**
 * A node's load: the scarcer of CPU and memory, measured or reserved, whichever is more, with a share of the other, and what was placed of late.
 * Never their product: an idle CPU must not hide full memory.
 */
export function loadOf(bid: Bid): number {
  const cpu = Math.max(bid.cpu, bid.reservedCpu);
  const memory = Math.max(bid.memory, bid.reservedMemory);
  return Math.max(cpu, memory) + SECOND * Math.min(cpu, memory) + STEP * bid.recent;
}

/**
 * Chooses which nodes to ask. Records are old when they are read: they only serve to leave out the busiest of those drawn.
 * @param random from 0 to below 1
 */
export function shortlist<R extends Pick<NodeRecord, "load" | "engine">>(records: readonly R[], random: () => number): R[] {
  if (records.length <= ASK_ALL) return records.filter(isUp);
  return draw(records, random)
    .sort((a, b) => a.load - b.load)
    .slice(0, SAMPLE);
}

// By index, so that a draw costs the same among ten nodes and ten thousand.
function draw<R extends Pick<NodeRecord, "load" | "engine">>(records: readonly R[], random: () => number): R[] {
  const up = records.filter(isUp);
  if (up.length <= DRAWN) return up;
  for (let at = 0; at < DRAWN; at += 1) {
    const other = at + Math.floor(random() * (up.length - at));
    [up[at], up[other]] = [up[other] as R, up[at] as R];
  }
  return up.slice(0, DRAWN);
}

const isUp = (record: Pick<NodeRecord, "engine">) => record.engine === "ok";

export interface Ranked {
  bid: Bid;
  /** how many runs must end before its turn comes */
  ahead: number;
  /** what decides among equals: less is better */
  load: number;
}

/** Runs that this node has given to another and not heard of yet: their bids can't know of them. */
export interface UnderWay {
  all: number;
  /** those that need a slot */
  slots: number;
}

/**
 * Puts bids in the order in which they are to be tried: who has the volumes, then where fewest runs wait, then who has the image, then
 * who is idler; chance decides between equals.
 * @param underWay what this node has given to each
 * @returns those that don't decline
 */
export function rank(bids: readonly Bid[], underWay: (node: string) => UnderWay, random: () => number): Ranked[] {
  return bids
    .filter((bid) => bid.declines === undefined)
    .map((bid) => {
      const given = underWay(bid.node);
      const ahead = bid.slots ? Math.max(0, Math.max(bid.slots.taken, given.slots) + 1 - bid.slots.size) : 0;
      return { bid, ahead, load: loadOf(bid) + STEP * given.all, lot: random() };
    })
    .sort(
      (a, b) =>
        Number(b.bid.hasVolumes) - Number(a.bid.hasVolumes) ||
        a.ahead - b.ahead ||
        Number(b.bid.hasImage) - Number(a.bid.hasImage) ||
        a.load - b.load ||
        a.lot - b.lot,
    )
    .map(({ lot: _, ...ranked }) => ranked);
}
