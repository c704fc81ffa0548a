import type { IncomingHttpHeaders, IncomingMessage, OutgoingHttpHeaders } from "node:http";
import { Readable } from "node:stream";
import { AppError } from "../../errors";
import { HOP_BY_HOP_HEADERS } from "../../support/hop-by-hop";
import { currentTrace } from "../../support/measure";
import { Reply, UpgradeReply } from "../../support/reply";
import type { Peer } from "../membership/peer";
import type { Pool } from "../pool";
import type { PeerCall } from "../rpc/peer-client";
import { PeerFailure } from "../rpc/peer-failure";
import { PEER_HEADER } from "../rpc/signatures";
import { sendWatched } from "./frozen-peer";
import type { RoutedRequest } from "./routed-request";
import { relayUpgrade } from "./upgrade-relay";
import type { Plan } from "./where";

/** Hop-by-hop headers, and those between the client and the node that it is connected to. */
const NOT_FORWARDED = new Set<string>([
  ...HOP_BY_HOP_HEADERS,
  "trailer",
  "host",
  "authorization",
  "x-access-token",
  "x-api-key",
  "cookie",
  "expect",
  PEER_HEADER,
]);
/** Hop-by-hop headers, and those that the entry node sets itself. */
const NOT_RETURNED = new Set<string>([...HOP_BY_HOP_HEADERS, "trailer", "date", "ratelimit", "ratelimit-policy"]);

/** Of a reply that is read whole: more than both output streams of a run at the default limit, with every byte escaped. */
const MAX_REPLY_BYTES = 256_000_000;

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
 * @throws PeerFailure; AppError ABANDONED if the client has left
 */
export async function forward(
  pool: Pool,
  peer: Peer,
  request: RoutedRequest,
  timeoutMs: number,
  options: ForwardOptions = {},
): Promise<Reply> {
  const { method, url, identity, access } = request;
  const body = options.body ?? (request.readsBody ? await request.readBody() : undefined);
  const bytes = body && Buffer.from(JSON.stringify(body));
  const { "content-encoding": encoding, ...headers } = without(request.headers, NOT_FORWARDED);
  if (request.upgrade) Object.assign(headers, { connection: "Upgrade", upgrade: request.headers.upgrade });
  const call: PeerCall = {
    method,
    url,
    caller: identity,
    access,
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
  const trace = currentTrace();
  if (trace) trace.node = peer.name;
  // Not among the latencies of peers: it takes as long as the work that was asked for.
  const endWait = trace?.begin("peer");
  const response = await sendWatched(pool, peer, call)
    .catch((error: unknown) => {
      throw call.signal?.aborted ? new AppError("ABANDONED") : error;
    })
    .finally(endWait);
  return response.statusCode === 101 ? new UpgradeReply((offer) => relayUpgrade(offer, response)) : toReply(response);
}

/**
 * Forwards a run to the node that was chosen for it. A live run ends with its client and may stream; any other run goes on, and its
 * reply is read whole.
 * @throws PeerFailure; AppError ABANDONED
 */
export async function forwardRun(pool: Pool, peer: Peer, request: RoutedRequest, timeoutMs: number, plan: Plan): Promise<Reply> {
  const live = request.where.at === "bestNode" && request.where.live;
  const reply = await forward(pool, peer, request, timeoutMs, { body: plan.body, outlivesClient: !live });
  const type = reply.headers["content-type"] ?? "";
  if (live && /^(?:text\/event-stream|application\/x-ndjson)/.test(type)) return streamOf(peer, reply);
  return readWhole(reply).catch((error: unknown) => {
    throw live && request.clientSignal.aborted ? new AppError("ABANDONED") : brokenOff(peer, error);
  });
}

/**
 * The reply with its body as bytes or text; objects become JSON.
 * @throws Error if a body that streams is longer than `maxBytes`; it is read no further
 */
export async function readWhole(reply: Reply, maxBytes = MAX_REPLY_BYTES): Promise<Reply> {
  const { status, body, headers } = reply;
  if (body === null || typeof body === "string" || Buffer.isBuffer(body)) return reply;
  if (Symbol.asyncIterator in body) return new Reply(status, await readBytes(body as AsyncIterable<Buffer>, maxBytes), headers);
  return new Reply(status, Buffer.from(JSON.stringify(body)), headers);
}

async function readBytes(chunks: AsyncIterable<Buffer>, maxBytes: number): Promise<Buffer> {
  const read: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of chunks) {
    bytes += chunk.length;
    if (bytes > maxBytes) throw new Error(`its answer is longer than ${maxBytes} bytes`);
    read.push(chunk);
  }
  return Buffer.concat(read);
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

/** A peer's reply to pass on as it comes; if it breaks off, that is told as the failure of the peer. */
export function streamOf(peer: Peer, reply: Reply): Reply {
  const { status, body, headers } = reply;
  return body instanceof Readable ? new Reply(status, namingBreaks(peer, body), headers) : reply;
}

async function* namingBreaks(peer: Peer, body: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  try {
    yield* body;
  } catch (error) {
    const failure = brokenOff(peer, error);
    throw failure instanceof PeerFailure ? failure.toAppError() : failure;
  }
}

/** What an error while a peer's reply was read means. */
function brokenOff(peer: Peer, error: unknown): AppError | PeerFailure {
  const { code, message } = error as NodeJS.ErrnoException;
  return error instanceof AppError ? error : new PeerFailure(peer.name, code ?? message, true);
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
