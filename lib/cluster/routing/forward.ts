import type { IncomingHttpHeaders, IncomingMessage, OutgoingHttpHeaders } from "node:http";
import type { Duplex } from "node:stream";
import { buffer } from "node:stream/consumers";
import { AppError } from "../../errors";
import { HOP_BY_HOP_HEADERS } from "../../support/hop-by-hop";
import { pipeBoth } from "../../support/pipe-both";
import { Reply, type UpgradeOffer, UpgradeReply } from "../../support/reply";
import type { Peer } from "../membership/peer";
import { callPeer, type Pool } from "../pool";
import type { PeerCall } from "../rpc/peer-client";
import { PeerFailure } from "../rpc/peer-failure";
import { PEER_HEADER } from "../rpc/signatures";
import type { RoutedRequest } from "./routed-request";
import type { Plan } from "./where";

/** Hop-by-hop headers, and those between the client and the node that it is connected to. */
const NOT_FORWARDED = new Set<string>([
  ...HOP_BY_HOP_HEADERS,
  "trailer",
  "host",
  "authorization",
  "x-access-token",
  "cookie",
  "expect",
  PEER_HEADER,
]);
/** Hop-by-hop headers, and those that the entry node sets itself. */
const NOT_RETURNED = new Set<string>([...HOP_BY_HOP_HEADERS, "trailer", "date", "ratelimit", "ratelimit-policy"]);

export interface ForwardOptions {
  /** Sent as JSON in place of the client's body. */
  body?: object;
  /** The request goes on when its client disconnects. */
  outlivesClient?: boolean;
}

/**
 * Forwards a request to a peer. A body that the route reads whole is sent whole and signed; any other body streams, and so does
 * the reply.
 * @param timeoutMs for the peer's reply, unless the client's body streams
 * @throws PeerFailure
 */
export async function forward(
  pool: Pool,
  peer: Peer,
  request: RoutedRequest,
  timeoutMs: number,
  options: ForwardOptions = {},
): Promise<Reply> {
  const { method, url, identity } = request;
  const body = options.body ?? (request.readsBody ? await request.readBody() : undefined);
  const bytes = body && Buffer.from(JSON.stringify(body));
  const { "content-encoding": encoding, ...headers } = without(request.headers, NOT_FORWARDED);
  if (request.upgrade) Object.assign(headers, { connection: "Upgrade", upgrade: request.headers.upgrade });
  const call: PeerCall = {
    method,
    url,
    caller: identity,
    remainingMs: timeoutMs,
    // A streamed body may take any time while the peer answers pings.
    ...(bytes || !hasBody(request) ? { timeoutMs } : {}),
    headers: bytes
      ? { ...headers, "content-type": "application/json", "content-length": bytes.length }
      : { ...headers, ...(encoding === undefined ? {} : { "content-encoding": encoding }), ...framing(request) },
    body: bytes ?? (hasBody(request) ? request.rawBody : undefined),
    ...(options.outlivesClient ? {} : { signal: request.clientSignal }),
  };
  pool.log.debug("Request forwarded", { request_id: request.headers["x-request-id"], peer: peer.name, method });
  const response = await sendWatched(pool, peer, call);
  return response.statusCode === 101 ? new UpgradeReply((offer) => relayUpgrade(offer, response)) : toReply(response);
}

/**
 * Forwards a run to the node that was chosen for it. A live run ends with its client and may stream; any other run goes on, and its
 * reply is read whole.
 * @throws PeerFailure
 */
export async function forwardRun(pool: Pool, peer: Peer, request: RoutedRequest, timeoutMs: number, plan: Plan): Promise<Reply> {
  const live = request.where.at === "bestNode" && request.where.live;
  const reply = await forward(pool, peer, request, timeoutMs, { body: plan.body, outlivesClient: !live });
  const type = reply.headers["content-type"] ?? "";
  if (live && /^(?:text\/event-stream|application\/x-ndjson)/.test(type)) return reply;
  return readWhole(reply).catch((error: NodeJS.ErrnoException) => {
    throw error instanceof AppError ? error : new PeerFailure(peer.name, error.code ?? error.message, true, request.clientSignal.aborted);
  });
}

/** A ping refused in these ways can mean a graceful stop; had the peer died, the connection in use would break too. */
const REFUSED_PINGS = new Set(["ECONNREFUSED", "ECONNRESET", "it closed the connection"]);
/** Pings in a row that a peer misses until a streaming body is cut. A wait for a reply ends after one: a cut stream can't be resumed. */
export const MAX_MISSED_PINGS = 3;

/**
 * Sends a request to a peer and pings the peer until the response is read: a run may take any time and a followed log has no end,
 * but a frozen peer must not keep its client waiting.
 * @throws PeerFailure
 */
export async function sendWatched(pool: Pool, peer: Peer, call: PeerCall): Promise<IncomingMessage> {
  const frozen = new AbortController();
  // A streamed body can't be sent a second time.
  const maxMissed = call.body === undefined || Buffer.isBuffer(call.body) ? 1 : MAX_MISSED_PINGS;
  const stopWatching = watchPeer(pool, peer, maxMissed, (failure) => frozen.abort(failure));
  const signal = call.signal ? AbortSignal.any([call.signal, frozen.signal]) : frozen.signal;
  try {
    const response = await pool.client.send(peer, { ...call, signal });
    const source = response.statusCode === 101 ? response.socket : response;
    const stopWatchingReply = watchPeer(pool, peer, MAX_MISSED_PINGS, (failure) => source.destroy(failure.toAppError()));
    // An error of a reply that nobody reads must not end the process.
    source.once("close", stopWatchingReply).on("error", () => undefined);
    return response;
  } catch (error) {
    if (!frozen.signal.aborted) throw error;
    throw new PeerFailure(peer.name, (frozen.signal.reason as PeerFailure).reason, true);
  } finally {
    stopWatching();
  }
}

/**
 * Pings a peer every `peerTimeout` ms.
 * @param maxMissed pings in a row without an answer after which `onFrozen` is called
 * @returns stops the pings
 */
export function watchPeer(pool: Pool, peer: Peer, maxMissed: number, onFrozen: (failure: PeerFailure) => void): () => void {
  let missed = 0;
  let stopped = false;
  const timer = setInterval(() => {
    callPeer(pool, peer, "ping", {}).then(
      () => {
        missed = 0;
      },
      (failure: PeerFailure) => {
        if (stopped || failure.healthNeutral || REFUSED_PINGS.has(failure.reason)) return;
        missed += 1;
        if (missed < maxMissed) return;
        clearInterval(timer);
        peer.markMissing(failure.reason);
        onFrozen(failure);
      },
    );
  }, pool.peerTimeoutMs).unref();
  return () => {
    stopped = true;
    clearInterval(timer);
  };
}

/**
 * Passes another server's 101 to the client, and from then on the bytes of both directions.
 * @param offer the client's offer of an upgrade
 * @param accepted the other server's 101, whose socket is the connection
 */
function relayUpgrade(offer: UpgradeOffer, accepted: IncomingMessage): void {
  const peerSocket: Duplex = accepted.socket;
  if (!offer.socket.destroyed && !peerSocket.destroyed) offer.socket.write(headOf(accepted), "latin1");
  pipeBoth(offer, peerSocket, (socket) => socket.destroy());
}

function headOf({ rawHeaders }: IncomingMessage): string {
  const lines = ["HTTP/1.1 101 Switching Protocols"];
  for (let index = 0; index < rawHeaders.length; index += 2) lines.push(`${rawHeaders[index]}: ${rawHeaders[index + 1]}`);
  return `${lines.join("\r\n")}\r\n\r\n`;
}

/** The reply with its body as bytes or text; objects become JSON. */
export async function readWhole(reply: Reply): Promise<Reply> {
  const { status, body, headers } = reply;
  if (body === null || typeof body === "string" || Buffer.isBuffer(body)) return reply;
  if (Symbol.asyncIterator in body) return new Reply(status, await buffer(body as AsyncIterable<Buffer>), headers);
  return new Reply(status, Buffer.from(JSON.stringify(body)), headers);
}

function hasBody({ headers }: RoutedRequest): boolean {
  return headers["transfer-encoding"] !== undefined || Number(headers["content-length"] ?? 0) > 0;
}

// Node sends the bodies of GET and DELETE without framing headers by default; the peer would read them as further requests.
function framing(request: RoutedRequest): OutgoingHttpHeaders {
  if (!hasBody(request)) return {};
  const { headers } = request;
  return headers["transfer-encoding"] === undefined ? { "content-length": headers["content-length"] } : { "transfer-encoding": "chunked" };
}

function toReply(response: IncomingMessage): Reply {
  const headers = Object.fromEntries(Object.entries(without(response.headers, NOT_RETURNED)).map(([name, value]) => [name, String(value)]));
  return new Reply(response.statusCode ?? 502, response, headers);
}

function without(headers: IncomingHttpHeaders, names: ReadonlySet<string>): OutgoingHttpHeaders {
  const connectionOptions = new Set((headers.connection ?? "").split(",").map((name) => name.trim().toLowerCase()));
  return Object.fromEntries(
    Object.entries(headers).filter(([name, value]) => value !== undefined && !names.has(name) && !connectionOptions.has(name)),
  );
}
