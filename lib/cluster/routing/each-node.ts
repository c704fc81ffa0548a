import { PassThrough } from "node:stream";
import { AppError, answeredError, asAppError } from "../../errors";
import { EVENT_FORMATS, type EventFormat, eventText, sentEvents } from "../../support/event-format";
import { type Reply, streamed } from "../../support/reply";
import type { Pool } from "../pool";
import { clusterHeaders } from "../rpc/fan-out";
import { brokenOff, onAllNodes, outcomeOf } from "./all-nodes";
import type { RoutedRequest } from "./routed-request";
import type { MergeOutcomes, Outcome } from "./where";

/**
 * Has each node do it, and makes one answer of what they came to. If they send events, all go out as they come, but for the last of
 * each node: one says what all came to.
 * @param left ms that the client still waits
 * @throws AppError as `merge`
 */
export async function eachAnswer(pool: Pool, exchange: RoutedRequest, merge: MergeOutcomes, left: number): Promise<Reply> {
  const { replies, missing: away } = await onAllNodes(pool, exchange, left);
  const missing = away.map(({ node, reason }): Outcome => {
    return { node, error: new AppError("NODES_MISSING", { message: `${node} can't be asked: ${reason}`, details: { node } }) };
  });
  const headers = clusterHeaders(
    replies.map(({ node }) => node),
    away,
  );
  const format = replies.flatMap(({ value }) => formatOf(value) ?? [])[0];
  if (!format) {
    const merged = merge([...(await Promise.all(replies.map(({ node, value }) => outcomeOf(node, value)))), ...missing]);
    Object.assign(merged.headers, headers);
    return merged;
  }
  const out = new PassThrough();
  out.on("error", () => undefined);
  const ends = replies.map(({ node, value }) => (formatOf(value) ? passedOn(node, value as Reply, format, out) : outcomeOf(node, value)));
  void Promise.all(ends).then((outcomes) => out.end(lastEvent(format, merge, [...outcomes, ...missing])));
  const reply = streamed(format, out);
  Object.assign(reply.headers, headers);
  return reply;
}

function formatOf(reply: Reply | AppError): EventFormat | undefined {
  if (reply instanceof AppError) return undefined;
  const type = reply.headers["Content-Type"] ?? reply.headers["content-type"] ?? "";
  return EVENT_FORMATS.find((format) => type.startsWith(format));
}

/** Passes on what a node sends, and gives what it came to. */
async function passedOn(node: string, reply: Reply, format: EventFormat, out: PassThrough): Promise<Outcome> {
  try {
    for await (const { text, event, data } of sentEvents(format, reply.body as AsyncIterable<Buffer>)) {
      if (event === "result") return { node, status: 200, body: data };
      if (event === "error") return { node, error: answeredError(data) };
      // A client that is behind has enough to read: what is on the way isn't kept for it.
      if (out.writable && !out.writableNeedDrain) out.write(text);
    }
    return { node, error: brokenOff(node, new Error("its events have no end")) };
  } catch (error) {
    return { node, error: brokenOff(node, error) };
  }
}

function lastEvent(format: EventFormat, merge: MergeOutcomes, outcomes: Outcome[]): string {
  try {
    return eventText(format, "result", merge(outcomes).body as object);
  } catch (error) {
    const { kind, code, message, status, details } = asAppError(error);
    return eventText(format, "error", { error: kind, code, message, status, details });
  }
}
