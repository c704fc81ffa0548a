import { randomBytes } from "node:crypto";
import { LRUCache } from "lru-cache";
import { Access } from "../access/access";
import type { TokenClaim } from "../access/token";
import type { Signatures } from "../cluster/rpc/signatures";
import { AppError } from "../errors";

/** Lifetime of a ticket by the clock of the node that issued it. */
const TICKET_SECONDS = 30;
/** Largest clock skew between nodes; a ticket that is off by more is not even looked up. */
const MAX_CLOCK_SKEW_MS = 3_600_000;
const PURPOSE = "ticket";
/** Of a narrow token's ticket: nodes that don't know narrow tokens refuse its signature. */
const NARROW_PURPOSE = "narrow ticket";

/** The signed content of a ticket, which other versions read too. */
interface Claim {
  caller: string;
  /** of a client with a narrow token */
  token?: TokenClaim;
  /** ms since 1970 */
  at: number;
  nonce: string;
}

/**
 * Tickets for browsers, which can't send credentials with a WebSocket upgrade or a download: each opens one thing once. Every node
 * can verify that a node of the cluster issued a ticket; only the issuer, which holds the container, knows what it opens, and whether
 * it is unused.
 */
export class Tickets {
  /** what each unused ticket opens */
  private readonly unusedTickets = new LRUCache<string, string>({ max: 10_000, ttl: TICKET_SECONDS * 1000 });

  /**
   * @param signatures of the cluster, or of this process
   * @param accept what a claim permits; throws AppError TOKEN_REFUSED if its token has ended
   */
  constructor(
    private readonly signatures: Pick<Signatures, "sign" | "verify">,
    private readonly accept: (claim: TokenClaim) => Access,
  ) {}

  /**
   * Issues a ticket.
   * @param opens the one thing that it opens: the full id of a container for its terminal, else a text that is no such id
   * @param caller identity of the client that asks for it
   * @param access what that client may do: what was opened ends with its token
   * @returns the ticket and its lifetime in seconds
   */
  issue(opens: string, caller: string, access: Access): { ticket: string; expires_in: number } {
    const token = access.claim ? { token: access.claim } : {};
    const claim: Claim = { caller, ...token, at: Date.now(), nonce: randomBytes(16).toString("base64url") };
    const text = Buffer.from(JSON.stringify(claim)).toString("base64url");
    const ticket = `${text}.${this.signatures.sign(access.isFull ? PURPOSE : NARROW_PURPOSE, text)}`;
    this.unusedTickets.set(ticket, opens);
    return { ticket, expires_in: TICKET_SECONDS };
  }

  /**
   * The client that a ticket was issued to, and what it may do; undefined if no node of the cluster issued it.
   * @throws AppError TOKEN_REFUSED if its token has ended
   */
  holderOf(ticket: string): { identity: string; access: Access } | undefined {
    const [text = "", signature = ""] = ticket.split(".");
    const isNarrow = this.signatures.verify(NARROW_PURPOSE, text, signature);
    if (!isNarrow && !this.signatures.verify(PURPOSE, text, signature)) return undefined;
    const { caller, token, at } = JSON.parse(Buffer.from(text, "base64url").toString()) as Claim;
    if (Math.abs(Date.now() - at) >= MAX_CLOCK_SKEW_MS || isNarrow !== (token !== undefined)) return undefined;
    return { identity: caller, access: token ? this.accept(token) : Access.full };
  }

  /**
   * Uses a ticket up, whatever it opens.
   * @param ticket undefined for a client that has presented credentials instead
   * @throws AppError WRONG_TICKET if it opens something else, or nothing any more
   */
  redeem(ticket: string | undefined, opens: string): void {
    if (ticket === undefined) return;
    const valid = this.unusedTickets.get(ticket) === opens;
    this.unusedTickets.delete(ticket);
    if (!valid) throw new AppError("WRONG_TICKET");
  }
}
