import { settlesBefore } from "../../support/settles-before";

/** So long (ms) a node answers with another's list without asking again, unless it hears that it has changed. */
const LEASE = 25;

/**
 * Who was told this node's list, and is promised to hear of its next change (leases as Gray and Cheriton have them, 1989:
 * a holder that can't be reached is waited for until its lease is over, and no longer).
 */
export class ListLeases {
  /** node to when its lease ends; this process's own time */
  private readonly given = new Map<string, number>();
  private readonly telling = new Set<Promise<unknown>>();

  /** @param tell says to a node that the list has changed; resolves when it knows */
  constructor(private readonly tell: (node: string) => Promise<unknown>) {}

  /**
   * To be called before the list is read that the node is told.
   * @returns how long (ms) it is true from when the node asked, unless it hears otherwise
   */
  give(node: string): number {
    this.given.set(node, performance.now() + LEASE);
    return LEASE;
  }

  /** The list has changed: all who hold it are told. */
  changed(): void {
    for (const [node, end] of this.given) {
      const left = end - performance.now();
      if (left <= 0) continue;
      const told = settlesBefore(this.tell(node), AbortSignal.timeout(Math.ceil(left))).finally(() => this.telling.delete(told));
      this.telling.add(told);
    }
    this.given.clear();
  }

  /** Resolves when everybody knows of the changes so far: what is answered then, is seen through every node. */
  async settled(): Promise<void> {
    if (this.telling.size > 0) await Promise.all(this.telling);
  }
}
