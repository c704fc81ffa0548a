import { AsyncLocalStorage } from "node:async_hooks";

/**
 * What is measured: `engine`: calls of the Engine API; `peer`: calls and requests to other nodes; `queue`: waits for room or for a slot;
 * `pull`: pulls of images.
 */
export const MEASURED_KINDS = ["engine", "peer", "queue", "pull"] as const;
export type MeasuredKind = (typeof MEASURED_KINDS)[number];

/** One measured piece of work. */
export interface Measurement {
  kind: MeasuredKind;
  /** of the engine the operation, of a peer its name, of the queue `room` on a node or a `slot` of this one */
  label: string;
  seconds: number;
  failed: boolean;
}

/** How long one request has waited for each kind of work, and where it ran. */
export class RequestTrace {
  private readonly kinds = new Map<MeasuredKind, { running: number; startedAt: number; totalMs: number }>();
  /** The last node that it was sent to, or that ran it. */
  node: string | undefined;

  /** Notes the begin of a piece of work. Pieces at the same time count once. @returns notes its end */
  begin(kind: MeasuredKind): () => void {
    const entry = this.kinds.get(kind) ?? { running: 0, startedAt: 0, totalMs: 0 };
    this.kinds.set(kind, entry);
    if (entry.running === 0) entry.startedAt = performance.now();
    entry.running += 1;
    return () => {
      entry.running -= 1;
      if (entry.running === 0) entry.totalMs += performance.now() - entry.startedAt;
    };
  }

  /** Milliseconds of each kind that the request has waited for, as `engine_ms`; what still goes on counts up to now. */
  timings(): Record<string, number> {
    const now = performance.now();
    return Object.fromEntries(
      [...this.kinds].map(([kind, { running, startedAt, totalMs }]) => {
        const ms = running > 0 ? totalMs + now - startedAt : totalMs;
        return [`${kind}_ms`, Math.round(ms * 100) / 100];
      }),
    );
  }
}

const current = new AsyncLocalStorage<RequestTrace>();
const listeners = new Set<(measurement: Measurement) => void>();

/** Runs the work of one request: what is measured during it is noted in its trace. */
export function withTrace<T>(trace: RequestTrace, work: () => T): T {
  return current.run(trace, work);
}

/** The trace of the request that is being worked on. */
export function currentTrace(): RequestTrace | undefined {
  return current.getStore();
}

/**
 * Measures a piece of work, for the audit line of its request and for the metrics.
 * @param label see `Measurement`
 */
export async function measure<T>(kind: MeasuredKind, label: string, work: () => Promise<T>): Promise<T> {
  const end = current.getStore()?.begin(kind);
  const startedAt = performance.now();
  let failed = true;
  try {
    const result = await work();
    failed = false;
    return result;
  } finally {
    end?.();
    const measurement = { kind, label, seconds: (performance.now() - startedAt) / 1000, failed };
    for (const listener of listeners) listener(measurement);
  }
}

/** Calls `listener` for each measurement of this process. */
export function onMeasured(listener: (measurement: Measurement) => void): void {
  listeners.add(listener);
}
