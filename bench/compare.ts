/** What is compared: this server, the Engine API over its socket, the docker CLI. */
export type Side = "ours" | "raw" | "cli";

/** Rounds rotate through these orders: each side leaves work to the engine, which slows the side after it. */
const ORDERS: Side[][] = [
  ["ours", "raw", "cli"],
  ["cli", "raw", "ours"],
  ["raw", "ours", "cli"],
  ["cli", "ours", "raw"],
  ["raw", "cli", "ours"],
  ["ours", "cli", "raw"],
];

/** One measurement: the medians of the three sides and the target for this server. */
export interface Comparison {
  title: string;
  /** lower is better for ms, higher for rates */
  unit: "ms" | "requests/s" | "MB/s";
  medians: Record<Side, number>;
  target?: { against: "raw" | "cli"; ratio: number } | undefined;
}

/** The work of one side; only `work` is timed. */
export interface Task<T> {
  prepare?(): Promise<T>;
  work(prepared: T): Promise<unknown>;
  cleanUp?(prepared: T): Promise<void>;
}

/**
 * Times the three sides in turns, so that other load on the machine affects all of them alike. The first round is a warm-up and is not
 * counted.
 */
export async function compareTimes<T>(
  title: string,
  rounds: number,
  tasks: Record<Side, Task<T>>,
  target?: Comparison["target"],
): Promise<Comparison> {
  const medians = await compareValues(title, rounds, (side) => timed(tasks[side]));
  return { title, unit: "ms", medians, target };
}

/** Like `compareTimes`, for a number that each side measures itself. */
export async function compareValues(title: string, rounds: number, value: (side: Side) => Promise<number>): Promise<Record<Side, number>> {
  return measureInTurns(title, rounds, ORDERS, value);
}

/** A measurement with its baseline and the difference that is allowed. */
export interface Pair {
  title: string;
  /** medians in ms */
  baseline: number;
  measured: number;
  atMost: { ratio: number } | { more: number };
}

/** Medians of numbers that are measured in turns. */
export function compareNumbers<S extends string>(
  title: string,
  rounds: number,
  sides: Record<S, () => Promise<number>>,
): Promise<Record<S, number>> {
  const order = Object.keys(sides) as S[];
  return measureInTurns(title, rounds, [order, [...order].reverse()], (side) => sides[side]());
}

async function measureInTurns<S extends string>(
  title: string,
  rounds: number,
  orders: S[][],
  value: (side: S) => Promise<number>,
): Promise<Record<S, number>> {
  process.stderr.write(`${title} `);
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

/** Runs a task. @returns the time of its work, in ms */
export async function timed<T>({ prepare, work, cleanUp }: Task<T>): Promise<number> {
  const prepared = (await prepare?.()) as T;
  const start = performance.now();
  await work(prepared);
  const durationMs = performance.now() - start;
  await cleanUp?.(prepared);
  return durationMs;
}

export function median(values: number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? (sorted[middle] as number) : ((sorted[middle - 1] as number) + (sorted[middle] as number)) / 2;
}
