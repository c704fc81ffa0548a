import { createHash, createHmac, hkdfSync, randomBytes, timingSafeEqual } from "node:crypto";
import { LRUCache } from "lru-cache";
import type { TokenClaim } from "../../access/token";

/** As a size rather than a number of entries: for a number the cache would reserve all of its room at the start. */
const MAX_USED_CLAIMS = 100_000;

/** Signs and verifies everything that nodes send each other, under the cluster's key. Nothing is encrypted: none of it is secret. */
export class Signatures {
  private readonly keys: Buffer[];
  /** Claims of accepted requests. `ReplayGuard` refuses replays for good; this covers connections and claims without a time. */
  private readonly usedClaims = new LRUCache<string, true>({ maxSize: MAX_USED_CLAIMS, sizeCalculation: () => 1 });

  /** @param secrets the cluster key, or the tokens it is derived from; the first signs, signatures of all are valid */
  constructor(secrets: readonly string[]) {
    this.keys = secrets.map((secret) => Buffer.from(hkdfSync("sha256", secret, "docker-server", "cluster", 32)));
  }

  /** @param purpose part of what is signed: a signature made for one purpose is invalid for any other */
  sign(purpose: string, text: string): string {
    return mac(this.keys[0] as Buffer, purpose, text);
  }

  verify(purpose: string, text: string, signature: string): boolean {
    const given = Buffer.from(signature);
    return this.keys.some((key) => {
      const valid = Buffer.from(mac(key, purpose, text));
      return valid.length === given.length && timingSafeEqual(valid, given);
    });
  }

  /** Makes the value of `PEER_HEADER` for one request to another node. */
  signRequest(request: PeerRequest): string {
    const claim = Buffer.from(JSON.stringify({ ...request, nonce: randomBytes(12).toString("base64url") })).toString("base64url");
    return `${claim}.${this.sign(request.token ? NARROW_PURPOSE : PURPOSE, claim)}`;
  }

  /**
   * Verifies the `PEER_HEADER` of a received request; whether it is recent is for `ReplayGuard`.
   * @param expected the request as received: the header must have been made for it
   * @returns the signed claim; undefined if the header is invalid, was used before or belongs to another request
   */
  verifyRequest(header: string, expected: Pick<PeerRequest, "method" | "url" | "to">): PeerRequest | undefined {
    const [claim = "", signature = ""] = header.split(".");
    const purpose = [PURPOSE, NARROW_PURPOSE].find((each) => this.verify(each, claim, signature));
    if (purpose === undefined || this.usedClaims.has(claim)) return undefined;
    const request = JSON.parse(Buffer.from(claim, "base64url").toString()) as PeerRequest;
    if ((purpose === NARROW_PURPOSE) !== (request.token !== undefined)) return undefined;
    const matches = request.method === expected.method && request.url === expected.url && request.to === expected.to;
    if (!matches) return undefined;
    this.usedClaims.set(claim, true);
    return request;
  }
}

const PURPOSE = "request";
/** Of requests with a narrow token: a node that doesn't know the caveats refuses the signature, rather than ignoring them. */
const NARROW_PURPOSE = "narrow request";

/** The header of requests between nodes: a `PeerRequest` in base64url and its signature. */
export const PEER_HEADER = "x-docker-server-peer";

/** The claim that a node signs for a request to another. The field names are sent between nodes. */
export interface PeerRequest {
  /** name of the sending node */
  from: string;
  /** name of the receiving node */
  to: string;
  method: string;
  url: string;
  /** identity of the client that the request is made for */
  caller: string;
  /** what the client's narrow token says; absent if it may do everything */
  token?: TokenClaim | undefined;
  /**
   * ms that the forwarding node gives the request. Clocks differ: the receiving node counts them from when its handler first reads
   * `callerSignal`.
   */
  left: number;
  /** of a body that is sent whole, see `digestOf` */
  digest?: string | undefined;
  /** id of the receiving process; absent in claims of earlier versions, and before the receiver has answered an RPC call */
  process?: string | undefined;
  /** ms since 1970 by the receiving process's clock; absent as `process` */
  at?: number | undefined;
  /** random, set by `signRequest` */
  nonce?: string;
}

function mac(key: Buffer, purpose: string, text: string): string {
  return createHmac("sha256", key).update(`${purpose}\n${text}`).digest("base64url");
}

/** SHA-256 of a body in base64url. */
export function digestOf(body: Buffer): string {
  return createHash("sha256").update(body).digest("base64url");
}
