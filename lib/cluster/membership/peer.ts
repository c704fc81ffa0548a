import type { NodeRecord } from "./record";

/** First and longest pause before a missing peer is probed again. */
const FIRST_PAUSE_MS = 250;
const LONGEST_PAUSE_MS = 15_000;

/** Called when a peer becomes missing, and when it answers again. */
export interface PeerListener {
  onMissing(peer: Peer, reason: string): void;
  onAlive(peer: Peer): void;
}

/** Another node as this one knows it. All times are of this process's monotonic clock: clocks of machines differ. */
export class Peer {
  private pauseMs = 0;
  private retryAt = 0;
  private reason: string | undefined;
  /** Whether its requests must be signed with a time. Only a peer's own `join` ends that: an old record in the store may be put back. */
  signsTime: boolean;
  /** when its record last changed or it last answered */
  lastSeenAt = performance.now();
  /** when it was marked missing; 0 if it never was */
  missingSince = 0;

  constructor(
    public record: NodeRecord,
    private readonly listener?: PeerListener,
  ) {
    this.signsTime = record.timed ?? false;
  }

  get name(): string {
    return this.record.name;
  }

  /** Why it is marked missing; undefined if it is not. */
  get missingReason(): string | undefined {
    return this.reason;
  }

  /** @param record as read from the store, or received from the peer */
  updateRecord(record: NodeRecord): void {
    const changed = record.process !== this.record.process || record.sequence !== this.record.sequence;
    this.record = record;
    this.signsTime ||= record.timed ?? false;
    if (!changed) return;
    this.lastSeenAt = performance.now();
    // A node that publishes is running: probe it without a pause.
    this.retryAt = 0;
    this.pauseMs = 0;
  }

  /** Notes an answer of the peer: it is not missing, and its next pause is the first again. */
  markAlive(): void {
    const wasMissing = this.reason !== undefined;
    this.lastSeenAt = performance.now();
    this.reason = undefined;
    this.pauseMs = 0;
    if (wasMissing) this.listener?.onAlive(this);
  }

  /**
   * Notes a failed call. Each one in a row doubles the pause before the next probe.
   * @param reason for people: such as that it refused the connection, or timed out
   */
  markMissing(reason: string): void {
    const wasMissing = this.reason !== undefined;
    if (!wasMissing) this.missingSince = performance.now();
    this.reason = reason;
    this.pauseMs = Math.min(this.pauseMs === 0 ? FIRST_PAUSE_MS : this.pauseMs * 2, LONGEST_PAUSE_MS);
    this.retryAt = performance.now() + this.pauseMs;
    if (!wasMissing) this.listener?.onMissing(this, reason);
  }

  /** Whether the peer is missing and its pause is over. */
  get retryDue(): boolean {
    return this.reason !== undefined && performance.now() >= this.retryAt;
  }
}
