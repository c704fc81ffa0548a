import type { NodeRecord } from "../membership/record";
import type { Bid } from "./bid";

/** Up to this number of nodes, all are asked for bids. */
export const ASK_ALL_LIMIT = 8;
/**
 * Of more nodes, this number is drawn at random: if every entry node asked those that look idle in records of half a minute ago, these
 * would soon be the busiest.
 */
export const SAMPLE_SIZE = 8;
/** Of the nodes drawn, this number with the least load in their records is asked. */
export const SHORTLIST_SIZE = 6;
/** Load that one recent placement counts as, where 1 is a whole machine's. */
export const LOAD_PER_PLACEMENT = 0.05;

/** Weight of the less scarce of CPU and memory: among nodes with equally busy CPUs the one with more free memory is better. */
const SECONDARY_WEIGHT = 0.5;

/**
 * A node's load: the scarcer of CPU and memory (measured or reserved, whichever is more), plus a share of the other and of the recent
 * placements. CPU and memory are never multiplied: an idle CPU must not hide full memory.
 * @returns 0 for an idle node; can exceed 1
 */
export function loadOf(bid: Bid): number {
  const cpu = Math.max(bid.cpu, bid.reservedCpu);
  const memory = Math.max(bid.memory, bid.reservedMemory);
  return Math.max(cpu, memory) + SECONDARY_WEIGHT * Math.min(cpu, memory) + LOAD_PER_PLACEMENT * bid.recent;
}

/**
 * Chooses the nodes to ask for bids. Records are old when they are read: they only serve to leave out the busiest of those drawn.
 * @param random returns a number from 0 to below 1
 */
export function shortlist<R extends Pick<NodeRecord, "load" | "engine">>(records: readonly R[], random: () => number): R[] {
  if (records.length <= ASK_ALL_LIMIT) return records.filter(isUp);
  return draw(records, random)
    .sort((a, b) => a.load - b.load)
    .slice(0, SHORTLIST_SIZE);
}

/** Draws `SAMPLE_SIZE` nodes at random by a partial Fisher-Yates shuffle: the draw itself costs the same for any number of nodes. */
function draw<R extends Pick<NodeRecord, "load" | "engine">>(records: readonly R[], random: () => number): R[] {
  const up = records.filter(isUp);
  if (up.length <= SAMPLE_SIZE) return up;
  for (let at = 0; at < SAMPLE_SIZE; at += 1) {
    const other = at + Math.floor(random() * (up.length - at));
    [up[at], up[other]] = [up[other] as R, up[at] as R];
  }
  return up.slice(0, SAMPLE_SIZE);
}

const isUp = (record: Pick<NodeRecord, "engine">) => record.engine === "ok";

export interface RankedBid {
  bid: Bid;
  /** runs that must end before this one gets a slot there */
  ahead: number;
  /** `loadOf` the bid, plus the runs in flight */
  load: number;
}

/** Runs sent to a node and not answered yet: its bid may not count them. */
export interface InFlight {
  all: number;
  /** those that need a slot */
  slots: number;
}

/**
 * Ranks bids, the best first: nodes that have the volumes, then those where the fewest runs wait, then those that have the image, then
 * those with the least load; ties are broken at random.
 * @param inFlightOf the runs that this node has sent to a node
 * @returns the bids that don't decline
 */
export function rank(bids: readonly Bid[], inFlightOf: (node: string) => InFlight, random: () => number): RankedBid[] {
  return bids
    .filter((bid) => bid.declines === undefined)
    .map((bid) => {
      const inFlight = inFlightOf(bid.node);
      const ahead = bid.slots ? Math.max(0, Math.max(bid.slots.taken, inFlight.slots) + 1 - bid.slots.size) : 0;
      return { bid, ahead, load: loadOf(bid) + LOAD_PER_PLACEMENT * inFlight.all, tiebreak: random() };
    })
    .sort(
      (a, b) =>
        Number(b.bid.hasVolumes) - Number(a.bid.hasVolumes) ||
        a.ahead - b.ahead ||
        Number(b.bid.hasImage) - Number(a.bid.hasImage) ||
        a.load - b.load ||
        a.tiebreak - b.tiebreak,
    )
    .map(({ tiebreak: _, ...ranked }) => ranked);
}
