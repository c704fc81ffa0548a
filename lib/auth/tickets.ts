import { randomBytes } from "node:crypto";
import { LRUCache } from "lru-cache";
import type { Signatures } from "../cluster/rpc/signatures";

/** Seconds that a ticket is valid, by the clock of the node that gave it. */
const VALID = 30;
/** Clocks of nodes differ, but not by more (ms): past that a ticket is not even looked up. */
const LARGEST_SKEW = 3_600_000;
const PURPOSE = "ticket";

interface Claim {
  caller: string;
  /** ms since 1970 */
  at: number;
  nonce: string;
}

/**
 * Tickets of browsers, which can't send credentials with an upgrade: each opens one container once. Any node knows that it was given
 * by one of them; the node that gave it, which holds the container, knows whether it still opens it.
 */
export class Tickets {
  /** Those that were given and not used, each with its container. */
  private readonly open = new LRUCache<string, string>({ max: 10_000, ttl: VALID * 1000 });

  /** @param signatures of the cluster, or of this process */
  constructor(private readonly signatures: Pick<Signatures, "sign" | "verify">) {}

  /**
   * @param container full id
   * @param caller identity of whoever asks for it
   */
  give(container: string, caller: string): { ticket: string; expires_in: number } {
    const claim: Claim = { caller, at: Date.now(), nonce: randomBytes(16).toString("base64url") };
    const text = Buffer.from(JSON.stringify(claim)).toString("base64url");
    const ticket = `${text}.${this.signatures.sign(PURPOSE, text)}`;
    this.open.set(ticket, container);
    return { ticket, expires_in: VALID };
  }

  /** The identity of whoever it was given to; undefined if no node has given it. */
  callerOf(ticket: string): string | undefined {
    const [text = "", signature = ""] = ticket.split(".");
    if (!this.signatures.verify(PURPOSE, text, signature)) return undefined;
    const { caller, at } = JSON.parse(Buffer.from(text, "base64url").toString()) as Claim;
    return Math.abs(Date.now() - at) < LARGEST_SKEW ? caller : undefined;
  }

  /** Uses it up; whether it opens this container. */
  use(ticket: string, container: string): boolean {
    const opens = this.open.get(ticket) === container;
    this.open.delete(ticket);
    return opens;
  }
}
