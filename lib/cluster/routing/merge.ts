import { Reply } from "../../support/reply";
import type { Pool } from "../pool";
import { clusterHeaders } from "../rpc/fan-out";
import { onAllNodes, outcomeOf } from "./all-nodes";
import type { RoutedRequest } from "./routed-request";
import type { Merge } from "./where";

/**
 * Has every node answer, and makes one object of their answers, which says whether it is complete.
 * @param merge of the bodies of those who answered, this node's first
 * @param left ms that the client still waits
 * @throws AppError this node's own, if nobody answered
 */
export async function mergedAnswer(pool: Pool, exchange: RoutedRequest, merge: Merge, left: number): Promise<Reply> {
  const { replies, missing: away } = await onAllNodes(pool, exchange, left);
  const outcomes = await Promise.all(replies.map(({ node, value }) => outcomeOf(node, value)));
  const answered = outcomes.flatMap((each) => ("body" in each ? [each] : []));
  const failed = outcomes.flatMap((each) => ("error" in each ? [each] : []));
  if (answered.length === 0) throw failed[0]?.error;
  const missing = [...failed.map(({ node, error }) => ({ node, reason: error.message })), ...away];
  const body = merge(
    answered.map(({ body }) => body),
    exchange.query,
  );
  const said = { complete: missing.length === 0, missing: missing.map(({ node }) => node) };
  const nodes = answered.map(({ node }) => node);
  return new Reply(200, { ...body, ...said }, clusterHeaders(nodes, missing));
}
