import type { IncomingHttpHeaders, IncomingMessage, OutgoingHttpHeaders } from "node:http";
import { buffer } from "node:stream/consumers";
import { Reply } from "../support/reply";
import type { Exchange } from "./exchange";
import type { Peer } from "./peer";
import type { PeerCall } from "./peer-client";
import { PeerFailure } from "./peer-failure";
import { askPeer, type Pool } from "./pool";
import { PEER_HEADER } from "./signature";

/** RFC 9110, section 7.6.1, and what is between a client and the node it spoke to alone. */
const NOT_FORWARDED = new Set([
  "connection",
  "keep-alive",
  "proxy-authenticate",
  "proxy-authorization",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
  "proxy-connection",
  "host",
  "authorization",
  "x-access-token",
  "cookie",
  "expect",
  PEER_HEADER,
]);
/** What the answering node says of its own connection and policy. */
const NOT_RETURNED = new Set([
  "connection",
  "keep-alive",
  "proxy-authenticate",
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
  "date",
  "ratelimit",
  "ratelimit-policy",
]);

export interface ForwardOptions {
  /** Sent as JSON instead of what came. */
  body?: object;
  /** The client's leaving doesn't end it. */
  stays?: boolean;
}

/**
 * Sends a request on. A body that is read whole before it runs is sent whole and signed; any other streams, and so does the answer.
 * @param left ms that the client still waits
 * @throws PeerFailure
 */
export async function forward(pool: Pool, peer: Peer, exchange: Exchange, left: number, options: ForwardOptions = {}): Promise<Reply> {
  const { method, url, caller } = exchange;
  const body = options.body ?? (exchange.readsBody ? await exchange.body() : undefined);
  const bytes = body && Buffer.from(JSON.stringify(body));
  const { "content-encoding": encoding, ...headers } = kept(exchange.headers, NOT_FORWARDED);
  const call: PeerCall = {
    method,
    url,
    caller,
    left,
    timeout: left,
    headers: bytes
      ? { ...headers, "content-type": "application/json", "content-length": bytes.length }
      : { ...headers, ...(encoding === undefined ? {} : { "content-encoding": encoding }), ...framing(exchange) },
    body: bytes ?? (hasBody(exchange) ? exchange.raw : undefined),
    ...(options.stays ? {} : { signal: exchange.gone }),
  };
  return toReply(await sendWatched(pool, peer, call));
}

/** One that takes no more connections may be stopping, and finishes what it has begun: had it died, that connection would be cut too. */
const CLOSED = new Set(["ECONNREFUSED", "ECONNRESET", "it closed the connection"]);

/** Waits for as long as the peer lives: a run may take its time, but one whose node stands still is not waited for. */
async function sendWatched(pool: Pool, peer: Peer, call: PeerCall): Promise<IncomingMessage> {
  const dead = new AbortController();
  const timer = setInterval(() => {
    askPeer(pool, peer, "ping", {}).catch((error: PeerFailure) => {
      if (!error.blameless && !CLOSED.has(error.reason)) dead.abort(error);
    });
  }, pool.peerTimeout);
  const signal = call.signal ? AbortSignal.any([call.signal, dead.signal]) : dead.signal;
  try {
    return await pool.client.send(peer, { ...call, signal });
  } catch (error) {
    if (!dead.signal.aborted) throw error;
    const { reason } = dead.signal.reason as PeerFailure;
    peer.failed(reason);
    throw new PeerFailure(peer.name, reason, true);
  } finally {
    clearInterval(timer);
  }
}

/** An answer read whole. */
export async function whole(reply: Reply): Promise<Reply> {
  const { status, body, headers } = reply;
  if (body === null || typeof body === "string" || Buffer.isBuffer(body)) return reply;
  if (Symbol.asyncIterator in body) return new Reply(status, await buffer(body as AsyncIterable<Buffer>), headers);
  return new Reply(status, Buffer.from(JSON.stringify(body)), headers);
}

function hasBody({ headers }: Exchange): boolean {
  return headers["transfer-encoding"] !== undefined || Number(headers["content-length"] ?? 0) > 0;
}

// Node leaves the bodies of GET and DELETE unframed unless it is told: the peer would take them for requests of their own.
function framing(exchange: Exchange): OutgoingHttpHeaders {
  if (!hasBody(exchange)) return {};
  const { headers } = exchange;
  return headers["transfer-encoding"] === undefined ? { "content-length": headers["content-length"] } : { "transfer-encoding": "chunked" };
}

function toReply(response: IncomingMessage): Reply {
  const headers = Object.fromEntries(Object.entries(kept(response.headers, NOT_RETURNED)).map(([name, value]) => [name, String(value)]));
  return new Reply(response.statusCode ?? 502, response, headers);
}

function kept(headers: IncomingHttpHeaders, without: ReadonlySet<string>): OutgoingHttpHeaders {
  const named = new Set((headers.connection ?? "").split(",").map((name) => name.trim().toLowerCase()));
  return Object.fromEntries(
    Object.entries(headers).filter(([name, value]) => value !== undefined && !without.has(name) && !named.has(name)),
  );
}
