import { randomBytes } from "node:crypto";
import { LRUCache } from "lru-cache";
import type { Signatures } from "../cluster/rpc/signatures";

/** Lifetime of a ticket by the clock of the node that issued it. */
const TICKET_SECONDS = 30;
/** Largest clock skew between nodes; a ticket that is off by more is not even looked up. */
const MAX_CLOCK_SKEW_MS = 3_600_000;
const PURPOSE = "ticket";

/** The signed content of a ticket, which other versions read too. */
interface Claim {
  caller: string;
  /** ms since 1970 */
  at: number;
  nonce: string;
}

/**
 * Tickets for browsers, which can't send credentials with a WebSocket upgrade: each opens one container once. Every node can
 * verify that a node of the cluster issued a ticket; only the issuer, which holds the container, knows whether it is unused.
 */
export class Tickets {
  /** container id by unused ticket */
  private readonly unusedTickets = new LRUCache<string, string>({ max: 10_000, ttl: TICKET_SECONDS * 1000 });

  /** @param signatures of the cluster, or of this process */
  constructor(private readonly signatures: Pick<Signatures, "sign" | "verify">) {}

  /**
   * Issues a ticket.
   * @param containerId full id
   * @param caller identity of the client that asks for it
   * @returns the ticket and its lifetime in seconds
   */
  issue(containerId: string, caller: string): { ticket: string; expires_in: number } {
    const claim: Claim = { caller, at: Date.now(), nonce: randomBytes(16).toString("base64url") };
    const text = Buffer.from(JSON.stringify(claim)).toString("base64url");
    const ticket = `${text}.${this.signatures.sign(PURPOSE, text)}`;
    this.unusedTickets.set(ticket, containerId);
    return { ticket, expires_in: TICKET_SECONDS };
  }

  /** The identity of the client that a ticket was issued to; undefined if no node of the cluster issued it. */
  identityOf(ticket: string): string | undefined {
    const [text = "", signature = ""] = ticket.split(".");
    if (!this.signatures.verify(PURPOSE, text, signature)) return undefined;
    const { caller, at } = JSON.parse(Buffer.from(text, "base64url").toString()) as Claim;
    return Math.abs(Date.now() - at) < MAX_CLOCK_SKEW_MS ? caller : undefined;
  }

  /** Uses a ticket up. @returns whether it opens this container */
  redeem(ticket: string, containerId: string): boolean {
    const valid = this.unusedTickets.get(ticket) === containerId;
    this.unusedTickets.delete(ticket);
    return valid;
  }
}
