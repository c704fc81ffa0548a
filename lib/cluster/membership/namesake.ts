import type { Logger } from "../../support/logger";
import type { NodeRecord } from "./record";

/** During a reload two processes of one node publish for a while. */
const RELOAD_MS = 30_000;

export interface NamesakeDeps {
  /** this node's, which the other has too */
  nodeName: string;
  /** A record that was not seen for this time is no longer published. */
  validMs: number;
  log: Logger;
}

/** Another node with this node's name: both publish under one key, so that the others know only one of them. */
export class Namesake {
  /** Times are of performance.now(). */
  private seen: { url: string; since: number; lastSeenAt: number } | undefined;
  /** where peers reach this node */
  ownUrl: string | undefined;

  constructor(private readonly deps: NamesakeDeps) {}

  /** Notes a record with this node's name that another process has published after this one. */
  note({ url }: NodeRecord): void {
    const before = this.seen?.url === url && !this.isOld(this.seen) ? this.seen : undefined;
    const wasTold = before !== undefined && this.isOtherNode(before);
    const now = performance.now();
    this.seen = { url, since: before?.since ?? now, lastSeenAt: now };
    if (!wasTold && this.isOtherNode(this.seen)) this.deps.log.error("Another node has this node's name", { url });
  }

  /** A sentence if there is such a node. */
  get warnings(): string[] {
    if (!this.seen || this.isOld(this.seen) || !this.isOtherNode(this.seen)) return [];
    const { nodeName } = this.deps;
    return [`Another node at ${this.seen.url} has this node's name, ${nodeName}, and hides it: give each its own --node_name`];
  }

  private isOld({ lastSeenAt }: { lastSeenAt: number }): boolean {
    return performance.now() - lastSeenAt > this.deps.validMs;
  }

  private isOtherNode({ url, since }: { url: string; since: number }): boolean {
    return url !== this.ownUrl || performance.now() - since > RELOAD_MS;
  }
}
