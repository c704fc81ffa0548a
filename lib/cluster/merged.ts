import { AppError, answeredError } from "../errors";
import { Reply } from "../support/reply";
import { onAllNodes } from "./all-nodes";
import type { Exchange } from "./exchange";
import { clusterHeaders } from "./fan-out";
import { whole } from "./forward";
import type { Pool } from "./pool";
import type { Merge } from "./where";

/**
 * Has every node answer, and makes one object of their answers, which says whether it is complete.
 * @param merge of the bodies of those who answered, this node's first
 * @param left ms that the client still waits
 * @throws AppError this node's own, if nobody answered
 */
export async function mergedAnswer(pool: Pool, exchange: Exchange, merge: Merge, left: number): Promise<Reply> {
  const { replies, missing: away } = await onAllNodes(pool, exchange, left);
  const outcomes = await Promise.all(replies.map(async ({ node, value }) => ({ node, value: await bodyOf(value) })));
  const answered = outcomes.flatMap(({ node, value }) => (value instanceof Error ? [] : [{ node, value }]));
  if (answered.length === 0) throw outcomes[0]?.value;
  const failed = outcomes.flatMap(({ node, value }) => (value instanceof Error ? [{ node, reason: value.message }] : []));
  const missing = [...failed, ...away];
  const body = merge(
    answered.map(({ value }) => value),
    exchange.query,
  );
  const said = { complete: missing.length === 0, missing: missing.map(({ node }) => node) };
  const nodes = answered.map(({ node }) => node);
  return new Reply(200, { ...body, ...said }, clusterHeaders(nodes, missing));
}

/** What a node answered; an error if it is one, or can't be read to its end. */
async function bodyOf(reply: Reply | AppError): Promise<object | Error> {
  if (reply instanceof AppError) return reply;
  try {
    const body = JSON.parse(String((await whole(reply)).body)) as object;
    return reply.status < 400 ? body : answeredError(body as Record<string, unknown>);
  } catch (error) {
    return error as Error;
  }
}
