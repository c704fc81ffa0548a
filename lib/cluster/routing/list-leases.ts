import { settlesBefore } from "../../support/settles-before";

/** How long a node may reuse another node's list without asking again, unless it is notified of a change. */
const LEASE_MS = 25;

/**
 * The leases that other nodes hold on this node's container list. A holder is notified of the next change; a holder that can't be
 * reached is waited for until its lease ends, and no longer (leases as in Gray and Cheriton, 1989).
 */
export class ListLeases {
  /** By node: when its lease ends, as a time of performance.now(). */
  private readonly expiries = new Map<string, number>();
  private readonly notifications = new Set<Promise<unknown>>();

  /** @param notify notifies a node that the list has changed; resolves when the node has confirmed */
  constructor(private readonly notify: (node: string) => Promise<unknown>) {}

  /**
   * Grants a lease. Call it before reading the list that is sent to the node, so that the node is notified of a change in between.
   * @returns how long (ms) the list stays valid, counted from when the node asked
   */
  grant(node: string): number {
    this.expiries.set(node, performance.now() + LEASE_MS);
    return LEASE_MS;
  }

  /** Notifies all holders that the list has changed, and ends their leases. */
  notifyChanged(): void {
    for (const [node, expiry] of this.expiries) {
      const remainingMs = expiry - performance.now();
      if (remainingMs <= 0) continue;
      const notification = settlesBefore(this.notify(node), AbortSignal.timeout(Math.ceil(remainingMs))).finally(() =>
        this.notifications.delete(notification),
      );
      this.notifications.add(notification);
    }
    this.expiries.clear();
  }

  /**
   * Resolves when each holder has confirmed the changes so far or its lease has ended. A request answered after that is visible
   * through every node.
   */
  async settled(): Promise<void> {
    if (this.notifications.size > 0) await Promise.all(this.notifications);
  }
}
