import type { IncomingHttpHeaders, IncomingMessage, OutgoingHttpHeaders } from "node:http";
import { buffer } from "node:stream/consumers";
import { AppError } from "../../errors";
import { Reply, Upgraded } from "../../support/reply";
import type { Peer } from "../membership/peer";
import { callPeer, type Pool } from "../pool";
import type { PeerCall } from "../rpc/peer-client";
import { PeerFailure } from "../rpc/peer-failure";
import { PEER_HEADER } from "../rpc/signatures";
import type { RoutedRequest } from "./routed-request";
import { relay } from "./upgrade-relay";
import type { Plan } from "./where";

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
export async function forward(pool: Pool, peer: Peer, exchange: RoutedRequest, left: number, options: ForwardOptions = {}): Promise<Reply> {
  const { method, url, caller } = exchange;
  const body = options.body ?? (exchange.readsBody ? await exchange.body() : undefined);
  const bytes = body && Buffer.from(JSON.stringify(body));
  const { "content-encoding": encoding, ...headers } = kept(exchange.headers, NOT_FORWARDED);
  if (exchange.upgrade) Object.assign(headers, { connection: "Upgrade", upgrade: exchange.headers.upgrade });
  const call: PeerCall = {
    method,
    url,
    caller,
    left,
    // What streams may take its time, as long as the peer answers pings.
    ...(bytes || !hasBody(exchange) ? { timeout: left } : {}),
    headers: bytes
      ? { ...headers, "content-type": "application/json", "content-length": bytes.length }
      : { ...headers, ...(encoding === undefined ? {} : { "content-encoding": encoding }), ...framing(exchange) },
    body: bytes ?? (hasBody(exchange) ? exchange.raw : undefined),
    ...(options.stays ? {} : { signal: exchange.clientSignal }),
  };
  const response = await sendWatched(pool, peer, call);
  return response.statusCode === 101 ? new Upgraded((client) => relay(client, response)) : toReply(response);
}

/** One that takes no more connections may be stopping, and finishes what it has begun: had it died, that connection would be cut too. */
const CLOSED = new Set(["ECONNREFUSED", "ECONNRESET", "it closed the connection"]);
/** Pings in a row that a node may miss while a body or its answer flows: that is cut only when the node is surely away. */
export const MISSES = 3;

/**
 * Sends a request and waits for as long as the peer lives: a run may take its time, and a followed log all of it, but a node that
 * stands still is not waited for.
 * @throws PeerFailure
 */
export async function sendWatched(pool: Pool, peer: Peer, call: PeerCall): Promise<IncomingMessage> {
  const dead = new AbortController();
  // A body that flows can't be sent a second time.
  const misses = call.body === undefined || Buffer.isBuffer(call.body) ? 1 : MISSES;
  const end = watchPeer(pool, peer, misses, (failure) => dead.abort(failure));
  const signal = call.signal ? AbortSignal.any([call.signal, dead.signal]) : dead.signal;
  try {
    const response = await pool.client.send(peer, { ...call, signal });
    const source = response.statusCode === 101 ? response.socket : response;
    const unwatch = watchPeer(pool, peer, MISSES, (failure) => source.destroy(failure.toAppError()));
    // Whoever reads it is told of its errors, too; if nobody does, they are nobody's.
    source.once("close", unwatch).on("error", () => undefined);
    return response;
  } catch (error) {
    if (!dead.signal.aborted) throw error;
    throw new PeerFailure(peer.name, (dead.signal.reason as PeerFailure).reason, true);
  } finally {
    end();
  }
}

/**
 * Pings a peer from time to time.
 * @param misses so many pings in a row without an answer, and `dead` is called
 * @returns ends it
 */
export function watchPeer(pool: Pool, peer: Peer, misses: number, dead: (failure: PeerFailure) => void): () => void {
  let missed = 0;
  let over = false;
  const timer = setInterval(() => {
    callPeer(pool, peer, "ping", {}).then(
      () => {
        missed = 0;
      },
      (failure: PeerFailure) => {
        if (over || failure.blameless || CLOSED.has(failure.reason)) return;
        missed += 1;
        if (missed < misses) return;
        clearInterval(timer);
        peer.failed(failure.reason);
        dead(failure);
      },
    );
  }, pool.peerTimeout).unref();
  return () => {
    over = true;
    clearInterval(timer);
  };
}

/** Gives a run to the node that was chosen for it. What is live ends with its client and may stream; all else goes on, and is answered whole. */
export async function forwardRun(pool: Pool, peer: Peer, exchange: RoutedRequest, left: number, plan: Plan): Promise<Reply> {
  const live = exchange.where.at === "bestNode" && exchange.where.live;
  const reply = await forward(pool, peer, exchange, left, { body: plan.body, stays: !live });
  const type = reply.headers["content-type"] ?? "";
  if (live && /^(?:text\/event-stream|application\/x-ndjson)/.test(type)) return reply;
  return readWhole(reply).catch((error: NodeJS.ErrnoException) => {
    throw error instanceof AppError ? error : new PeerFailure(peer.name, error.code ?? error.message, true, exchange.clientSignal.aborted);
  });
}

/** An answer read whole. */
export async function readWhole(reply: Reply): Promise<Reply> {
  const { status, body, headers } = reply;
  if (body === null || typeof body === "string" || Buffer.isBuffer(body)) return reply;
  if (Symbol.asyncIterator in body) return new Reply(status, await buffer(body as AsyncIterable<Buffer>), headers);
  return new Reply(status, Buffer.from(JSON.stringify(body)), headers);
}

function hasBody({ headers }: RoutedRequest): boolean {
  return headers["transfer-encoding"] !== undefined || Number(headers["content-length"] ?? 0) > 0;
}

// Node leaves the bodies of GET and DELETE unframed unless it is told: the peer would take them for requests of their own.
function framing(exchange: RoutedRequest): OutgoingHttpHeaders {
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
