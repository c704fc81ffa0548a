/** The three that are compared: this server, the Engine API over its socket, the docker CLI. */
export type Side = "ours" | "raw" | "cli";

/** Nobody always comes first, nor always after the same one: each leaves the engine something to do. */
const ORDERS: Side[][] = [
  ["ours", "raw", "cli"],
  ["cli", "raw", "ours"],
  ["raw", "ours", "cli"],
  ["cli", "ours", "raw"],
  ["raw", "cli", "ours"],
  ["ours", "cli", "raw"],
];

/** One measurement: the medians of the three sides, and what is asked of ours. */
export interface Comparison {
  what: string;
  /** ms: less is better; of the others more is */
  unit: "ms" | "requests/s" | "MB/s";
  medians: Record<Side, number>;
  target?: { against: "raw" | "cli"; ratio: number } | undefined;
}

/** What one side does: only `work` is timed. */
export interface Task<T> {
  prepare?(): Promise<T>;
  work(prepared: T): Promise<unknown>;
  cleanUp?(prepared: T): Promise<void>;
}

/**
 * Times the three sides one after the other, round by round, so that whatever else the machine does hits all alike.
 * One round before the first goes unmeasured.
 */
export async function compareTimes<T>(
  what: string,
  rounds: number,
  tasks: Record<Side, Task<T>>,
  target?: Comparison["target"],
): Promise<Comparison> {
  const medians = await compareValues(what, rounds, (side) => timed(tasks[side]));
  return { what, unit: "ms", medians, target };
}

/** Like `compareTimes`, for any number that a side gives. */
export async function compareValues(what: string, rounds: number, value: (side: Side) => Promise<number>): Promise<Record<Side, number>> {
  return inTurns(what, rounds, ORDERS, value);
}

/** Two ways to the same, and what may lie between them. */
export interface Pair {
  what: string;
  /** medians in ms */
  near: number;
  far: number;
  atMost: { ratio: number } | { more: number };
}

/** Medians of two numbers, taken in turns. */
export function compareNumbers<S extends string>(
  what: string,
  rounds: number,
  sides: Record<S, () => Promise<number>>,
): Promise<Record<S, number>> {
  const order = Object.keys(sides) as S[];
  return inTurns(what, rounds, [order, [...order].reverse()], (side) => sides[side]());
}

async function inTurns<S extends string>(
  what: string,
  rounds: number,
  orders: S[][],
  value: (side: S) => Promise<number>,
): Promise<Record<S, number>> {
  process.stderr.write(`${what} `);
  const sides = orders[0] as S[];
  const values = Object.fromEntries(sides.map((side) => [side, []])) as unknown as Record<S, number[]>;
  for (let round = 0; round <= rounds; round++) {
    for (const side of orders[round % orders.length] as S[]) {
      const measured = await value(side);
      if (round > 0) values[side].push(measured);
    }
    process.stderr.write(".");
  }
  process.stderr.write("\n");
  return Object.fromEntries(sides.map((side) => [side, median(values[side])])) as Record<S, number>;
}

/** How long (ms) a task's work takes. */
export async function timed<T>({ prepare, work, cleanUp }: Task<T>): Promise<number> {
  const prepared = (await prepare?.()) as T;
  const start = performance.now();
  await work(prepared);
  const took = performance.now() - start;
  await cleanUp?.(prepared);
  return took;
}

export function median(values: number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? (sorted[middle] as number) : ((sorted[middle - 1] as number) + (sorted[middle] as number)) / 2;
}
