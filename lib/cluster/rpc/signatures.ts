import { createHash, createHmac, hkdfSync, randomBytes, timingSafeEqual } from "node:crypto";
import { LRUCache } from "lru-cache";

/** What nodes say to each other is true if it carries a signature under the cluster's key; nothing of it is secret. */
export class Signatures {
  private readonly keys: Buffer[];
  /** Nonces of requests that were let in: none is let in twice. */
  private readonly seen = new LRUCache<string, true>({ max: 100_000 });

  /** @param secrets the cluster key, or tokens it is derived from: the first signs, all are trusted */
  constructor(secrets: readonly string[]) {
    this.keys = secrets.map((secret) => Buffer.from(hkdfSync("sha256", secret, "docker-server", "cluster", 32)));
  }

  /** @param text what is signed, of the given purpose; a signature for one purpose is worth nothing for another */
  sign(purpose: string, text: string): string {
    return mac(this.keys[0] as Buffer, purpose, text);
  }

  verify(purpose: string, text: string, signature: string): boolean {
    const given = Buffer.from(signature);
    return this.keys.some((key) => {
      const right = Buffer.from(mac(key, purpose, text));
      return right.length === given.length && timingSafeEqual(right, given);
    });
  }

  /**
   * The header by which one node's request to another is known.
   * @param request what is asked of whom, and on whose behalf
   */
  signRequest(request: PeerRequest): string {
    const claim = Buffer.from(JSON.stringify({ ...request, nonce: randomBytes(12).toString("base64url") })).toString("base64url");
    return `${claim}.${this.sign("request", claim)}`;
  }

  /**
   * Reads a request's header.
   * @param header as `seal` made it
   * @param expected what the request really is: the header must have been made for it
   * @returns who it is from and on whose behalf; undefined if it is not to be trusted
   */
  verifyRequest(header: string, expected: Pick<PeerRequest, "method" | "url" | "to">): PeerRequest | undefined {
    const [claim = "", signature = ""] = header.split(".");
    if (!this.verify("request", claim, signature) || this.seen.has(claim)) return undefined;
    const request = JSON.parse(Buffer.from(claim, "base64url").toString()) as PeerRequest;
    const meant = request.method === expected.method && request.url === expected.url && request.to === expected.to;
    if (!meant) return undefined;
    this.seen.set(claim, true);
    return request;
  }
}

/** Carries a seal: what the request is, from which node, on whose behalf. */
export const PEER_HEADER = "x-docker-server-peer";

export interface PeerRequest {
  /** names of nodes */
  from: string;
  to: string;
  method: string;
  url: string;
  /** the identity of the client behind it */
  caller: string;
  /** ms that its client still waits, counted from the arrival: clocks differ */
  left: number;
  /** of a body that is sent whole, as `digestOf` makes it */
  digest?: string | undefined;
}

function mac(key: Buffer, purpose: string, text: string): string {
  return createHmac("sha256", key).update(`${purpose}\n${text}`).digest("base64url");
}

/** What tells one body from any other. */
export function digestOf(body: Buffer): string {
  return createHash("sha256").update(body).digest("base64url");
}
