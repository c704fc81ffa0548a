import type { PeerRequest } from "./signatures";

/** What a node tells of itself in each answer, so that its peers can sign requests for this process and by its clock. */
export interface ReceiverStamp {
  /** id of the answering process */
  process: string;
  /** ms since 1970, by a clock that is not set while the process runs */
  clock: number;
}

/** A signed request is accepted for this time, by the receiver's clock. */
export const MAX_REQUEST_AGE_MS = 60_000;
/** Nonces that are kept. With more requests in `MAX_REQUEST_AGE_MS` the accepted age shrinks. */
const MAX_NONCES = 100_000;

export interface ReplayGuardOptions {
  /** id of this process */
  process: string;
  /** whether a node may send claims without a time, as earlier versions do */
  acceptsUntimed: (nodeName: string) => boolean;
  /** Another process of this node may listen on the same port, as during a reload under pm2: peers can't know which one they reach. */
  sharesPort?: boolean;
  /** ms since 1970 */
  clock?: () => number;
}

/**
 * Refuses signed requests that were recorded and are sent again. A claim names the process that it is made for and the time by that
 * process's clock, so that neither a restart nor many other requests make it valid again, and clocks of machines may differ.
 */
export class ReplayGuard {
  /** Times of accepted claims by nonce, oldest first. */
  private readonly acceptedTimes = new Map<string, number>();
  private readonly clock: () => number;
  /** Claims of this time or before are refused: their nonces are not known here, or no longer. */
  private forgottenUntil: number;

  constructor(private readonly options: ReplayGuardOptions) {
    this.clock = options.clock ?? monotonicClock;
    this.forgottenUntil = this.clock();
  }

  /** @returns what this node's answers tell of it */
  stamp(): ReceiverStamp {
    return { process: this.options.process, clock: this.clock() };
  }

  /**
   * Notes a claim whose signature is valid.
   * @returns whether it is made for this process, is recent and was not accepted before
   */
  accept({ from, process, at, nonce }: PeerRequest): boolean {
    if (process === undefined || at === undefined || nonce === undefined) return this.options.acceptsUntimed(from);
    if (process !== this.options.process && !this.options.sharesPort) return false;
    const now = this.clock();
    if (at <= Math.max(this.forgottenUntil, now - MAX_REQUEST_AGE_MS) || at > now + MAX_REQUEST_AGE_MS) return false;
    if (this.acceptedTimes.has(nonce)) return false;
    this.acceptedTimes.set(nonce, at);
    this.forgetOldest(now - MAX_REQUEST_AGE_MS);
    return true;
  }

  private forgetOldest(before: number): void {
    for (const [nonce, at] of this.acceptedTimes) {
      if (at > before && this.acceptedTimes.size <= MAX_NONCES) return;
      this.acceptedTimes.delete(nonce);
      this.forgottenUntil = Math.max(this.forgottenUntil, at);
    }
  }
}

function monotonicClock(): number {
  return performance.timeOrigin + performance.now();
}
