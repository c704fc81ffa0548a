import { PassThrough } from "node:stream";
import { AppError, answeredError, asAppError, errorFields } from "../../errors";
import { EVENT_FORMATS, type EventFormat, formatEvent, parseEvents } from "../../support/event-format";
import { isJson, Reply, streamReply, toHeaderText } from "../../support/reply";
import { callPeers, includesSelf, type Pool } from "../pool";
import { clusterHeaders, fanOut, type MissingNode } from "../rpc/fan-out";
import { forward, readWhole } from "./forward";
import type { RoutedRequest } from "./routed-request";
import type { MergeBodies, MergeOutcomes, Outcome } from "./where";

/**
 * Runs a request on every node and merges the bodies to one object, which says whether it is complete.
 * @param merge gets the bodies of the nodes that answered, this node's first
 * @param timeoutMs for a peer's reply
 * @throws AppError this node's own error if no node answered
 */
export async function mergeBodies(pool: Pool, request: RoutedRequest, merge: MergeBodies, timeoutMs: number): Promise<Reply> {
  const { bodies, nodes, missing } = await bodiesOfAllNodes(pool, request, timeoutMs);
  const completeness = { complete: missing.length === 0 && pool.members.storeWasRead, missing: missing.map(({ node }) => node) };
  return new Reply(200, { ...merge(bodies, request.query), ...completeness }, clusterHeaders(nodes, missing));
}

/**
 * Runs a request on every node and joins the lists that the nodes answer: each node leaves out what the client may not see.
 * @param timeoutMs for a peer's reply
 * @throws AppError this node's own error if no node answered
 */
export async function mergeLists(pool: Pool, request: RoutedRequest, timeoutMs: number): Promise<Reply> {
  const { bodies, nodes, missing } = await bodiesOfAllNodes(pool, request, timeoutMs);
  return new Reply(200, (bodies as unknown as object[][]).flat(), clusterHeaders(nodes, missing));
}

/** The bodies of the nodes that answered, this node's first, and the nodes that failed or can't be asked. */
async function bodiesOfAllNodes(
  pool: Pool,
  request: RoutedRequest,
  timeoutMs: number,
): Promise<{ bodies: object[]; nodes: string[]; missing: MissingNode[] }> {
  const { replies, missing: unreachable } = await runOnAllNodes(pool, request, timeoutMs);
  const outcomes = await Promise.all(replies.map(({ node, value }) => outcomeOf(node, value)));
  const answered = outcomes.flatMap((outcome) => ("body" in outcome ? [outcome] : []));
  const failed = outcomes.flatMap((outcome) => ("error" in outcome ? [outcome] : []));
  if (answered.length === 0) throw failed[0]?.error ?? new AppError("NODES_MISSING", { details: { missing: unreachable } });
  const missing = [...failed.map(({ node, error }) => ({ node, reason: error.message })), ...unreachable];
  return { bodies: answered.map(({ body }) => body), nodes: answered.map(({ node }) => node), missing };
}

/**
 * Runs a request on every node and merges each node's success or failure. If the nodes send events, they are passed on as they
 * arrive, except the last event of each node: one last event tells the merged outcome.
 * @param timeoutMs for a peer's reply
 * @throws AppError the error that `merge` throws
 */
export async function mergeOutcomes(pool: Pool, request: RoutedRequest, merge: MergeOutcomes, timeoutMs: number): Promise<Reply> {
  const { replies, missing: unreachable } = await runOnAllNodes(pool, request, timeoutMs);
  const missing = unreachable.map(({ node, reason }): Outcome => {
    return { node, error: new AppError("NODES_MISSING", { message: `${node} can't be asked: ${reason}`, details: { node } }) };
  });
  const headers = clusterHeaders(
    replies.map(({ node }) => node),
    unreachable,
  );
  const format = replies.flatMap(({ value }) => formatOf(value) ?? [])[0];
  if (!format) {
    const merged = merge([...(await Promise.all(replies.map(({ node, value }) => outcomeOf(node, value)))), ...missing]);
    return new Reply(merged.status, merged.body, { ...merged.headers, ...headers });
  }
  const events = new PassThrough();
  events.on("error", () => undefined);
  const outcomes = replies.map(({ node, value }) =>
    formatOf(value) ? passEventsOn(node, value as Reply, format, events) : outcomeOf(node, value),
  );
  void Promise.all(outcomes).then((settled) => events.end(lastEvent(format, merge, [...settled, ...missing])));
  const reply = streamReply(format, events);
  return new Reply(reply.status, reply.body, { ...reply.headers, ...headers });
}

/** Headers of a reply without a body that describe its outcome. */
const OUTCOME_HEADERS = /^(x-error-|x-image-|x-pull-|docker-content-digest)/i;

/**
 * Runs a request on every node and answers without a body: 200 only if all nodes succeeded, else the worst status.
 * `X-Cluster-Outcomes` names each node's status.
 * @param timeoutMs for a peer's reply
 */
export async function worstOutcome(pool: Pool, request: RoutedRequest, timeoutMs: number): Promise<Reply> {
  const { replies, missing } = await runOnAllNodes(pool, request, timeoutMs);
  const outcomes = await Promise.all(replies.map(async ({ node, value }) => ({ node, value: await withoutBody(node, value) })));
  if (outcomes.length === 0) throw new AppError("NODES_MISSING", { details: { missing } });
  const worst = outcomes.reduce((a, b) => (b.value.status > a.value.status ? b : a)).value;
  const statuses = outcomes.map(({ node, value }) => `${node}=${value.status}`);
  const nodes = outcomes.map(({ node }) => node);
  const all = [...statuses, ...missing.map(({ node }) => `${node}=missing`)];
  const headers = { "X-Cluster-Outcomes": all.join(", "), ...clusterHeaders(nodes, missing) };
  if (worst.status >= 300 || missing.length === 0) return new Reply(worst.status, null, { ...worst.headers, ...headers });
  const incomplete = errorWithoutBody(new AppError("NODES_MISSING", { message: "Some nodes can't be asked" }));
  return new Reply(incomplete.status, null, { ...worst.headers, ...incomplete.headers, ...headers });
}

/**
 * Runs a request on each owner of a container and merges the replies to a list, also if there is only one owner. A reply that
 * is not JSON, such as a text stream, is passed on unchanged.
 * @param run runs the request on one of the nodes
 * @throws AppError AMBIGUOUS_ID if several owners answer and not all of them with JSON
 */
export async function mergeOwners(nodes: string[], missing: MissingNode[], run: (node: string) => Promise<Reply>): Promise<Reply> {
  const headers = clusterHeaders(nodes, missing);
  const [first] = nodes;
  if (nodes.length === 1 && first !== undefined) return asList(first, await run(first), headers);
  const replies = await Promise.all(nodes.map(async (node) => readWholeOf(node, await run(node))));
  const failed = replies.find(({ status }) => status >= 400);
  if (failed) return failed;
  if (!replies.every(isJson)) throw new AppError("AMBIGUOUS_ID", { details: { candidates: nodes } });
  const status = Math.max(...replies.map((reply) => reply.status));
  const items = replies.map((reply) => JSON.parse(String(reply.body)) as object);
  return new Reply(status, items, headers);
}

/** The replies of all nodes, this node's first, and the nodes that can't be asked. */
interface Replies {
  replies: { node: string; value: Reply | AppError }[];
  missing: MissingNode[];
}

/** Runs a request on all nodes. Bodies that stream are not read yet. */
export async function runOnAllNodes(pool: Pool, request: RoutedRequest, timeoutMs: number): Promise<Replies> {
  // The request may take long: pings first find out which peers don't answer at all.
  await callPeers(pool, "ping", {});
  const [own, others] = await Promise.all([
    includesSelf(pool) ? request.runHere().catch((thrown: unknown) => toLoggedError(pool, request, thrown)) : undefined,
    fanOut(pool.members.peers, (peer) => forward(pool, peer, request, timeoutMs)),
  ]);
  return { replies: [...(own ? [{ node: pool.nodeName, value: own }] : []), ...others.answers], missing: others.missing };
}

/**
 * Runs a request on all nodes, of which each answers a stream of `application/x-ndjson`.
 * @returns the streams, this node's first, and the nodes without one
 * @throws AppError this node's own error if no node answered
 */
export async function streamsOfAllNodes(
  pool: Pool,
  request: RoutedRequest,
  timeoutMs: number,
): Promise<{ streams: { node: string; reply: Reply }[]; missing: MissingNode[] }> {
  const { replies, missing } = await runOnAllNodes(pool, request, timeoutMs);
  const streams: { node: string; reply: Reply }[] = [];
  const errors: AppError[] = [];
  for (const { node, value } of replies) {
    if (value instanceof Reply && value.status === 200 && formatOf(value) === "application/x-ndjson") {
      streams.push({ node, reply: value });
      continue;
    }
    const outcome = await outcomeOf(node, value);
    const error = "error" in outcome ? outcome.error : new AppError("NODE_FAILED");
    errors.push(error);
    missing.push({ node, reason: error.message });
  }
  if (streams.length === 0) throw errors[0] ?? new AppError("NODES_MISSING", { details: { missing } });
  return { streams, missing };
}

function toLoggedError({ log }: Pool, { headers }: RoutedRequest, thrown: unknown): AppError {
  const error = asAppError(thrown);
  if (error !== thrown) {
    const cause = thrown instanceof Error ? thrown.stack : String(thrown);
    log.error("Unexpected error", { request_id: headers["x-request-id"], code: error.clientCode, cause });
  }
  return error;
}

/** One node's outcome; a reply that can't be read to its end is an error. */
export async function outcomeOf(node: string, reply: Reply | AppError): Promise<Outcome> {
  if (reply instanceof AppError) return { node, error: reply };
  try {
    const body = JSON.parse(String((await readWhole(reply)).body)) as Record<string, unknown>;
    return reply.status < 400 ? { node, status: reply.status, body } : { node, error: answeredError(body) };
  } catch (error) {
    return { node, error: truncatedReply(node, error) };
  }
}

/** @throws AppError NODE_FAILED if a node's reply can't be read to its end */
async function readWholeOf(node: string, reply: Reply): Promise<Reply> {
  return readWhole(reply).catch((error: unknown) => {
    throw truncatedReply(node, error);
  });
}

function truncatedReply(node: string, error: unknown): AppError {
  return new AppError("NODE_FAILED", { message: `The node ${node} gave no answer: ${(error as Error).message}`, details: { node } });
}

/** The format of a reply that streams events; undefined for any other. */
export function formatOf(reply: Reply | AppError): EventFormat | undefined {
  if (reply instanceof AppError) return undefined;
  const type = reply.headers["Content-Type"] ?? reply.headers["content-type"] ?? "";
  return EVENT_FORMATS.find((format) => type.startsWith(format));
}

/** Passes one node's events on and returns its outcome. */
async function passEventsOn(node: string, reply: Reply, format: EventFormat, target: PassThrough): Promise<Outcome> {
  try {
    for await (const { text, event, data } of parseEvents(format, reply.body as AsyncIterable<Buffer>)) {
      if (event === "result") return { node, status: 200, body: data };
      if (event === "error") return { node, error: answeredError(data) };
      // Progress events are dropped for a slow client instead of being buffered.
      if (target.writable && !target.writableNeedDrain) target.write(text);
    }
    return { node, error: truncatedReply(node, new Error("its events have no end")) };
  } catch (error) {
    return { node, error: truncatedReply(node, error) };
  }
}

function lastEvent(format: EventFormat, merge: MergeOutcomes, outcomes: Outcome[]): string {
  try {
    return formatEvent(format, "result", merge(outcomes).body as object);
  } catch (error) {
    return formatEvent(format, "error", errorFields(asAppError(error)));
  }
}

async function withoutBody(node: string, reply: Reply | AppError): Promise<Reply> {
  const whole = reply instanceof AppError ? reply : await readWholeOf(node, reply).catch(asAppError);
  if (whole instanceof AppError) return errorWithoutBody(whole);
  const { status, headers } = whole;
  return new Reply(status, null, Object.fromEntries(Object.entries(headers).filter(([name]) => OUTCOME_HEADERS.test(name))));
}

function errorWithoutBody({ status, clientCode, message }: AppError): Reply {
  return new Reply(status, null, { "X-Error-Code": clientCode, "X-Error-Message": toHeaderText(message) });
}

async function asList(node: string, reply: Reply, headers: Record<string, string>): Promise<Reply> {
  if (reply.status >= 300 || !isJson(reply)) return new Reply(reply.status, reply.body, { ...reply.headers, ...headers });
  const { body } = await readWholeOf(node, reply);
  const { "content-length": _, ...rest } = reply.headers;
  return new Reply(reply.status, Buffer.concat([Buffer.from("["), body as Buffer, Buffer.from("]")]), {
    "Content-Type": "application/json; charset=utf-8",
    ...rest,
    ...headers,
  });
}
