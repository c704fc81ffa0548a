import { AppError } from "../../errors";
import { headerText, Reply } from "../../support/reply";
import type { Pool } from "../pool";
import { clusterHeaders } from "../rpc/fan-out";
import { onAllNodes } from "./all-nodes";
import { readWhole } from "./forward";
import type { RoutedRequest } from "./routed-request";

const TOLD = /^(x-error-|x-image-|x-pull-|docker-content-digest)/i;

/**
 * Has every node do it and says each one's outcome: 200 only if all did, else the worst.
 * @param left ms that the client still waits
 */
export async function eachOutcome(pool: Pool, exchange: RoutedRequest, left: number): Promise<Reply> {
  const { replies, missing } = await onAllNodes(pool, exchange, left);
  const outcomes = await Promise.all(replies.map(async ({ node, value }) => ({ node, value: await bare(value) })));
  const worst = outcomes.reduce((a, b) => (b.value.status > a.value.status ? b : a)).value;
  const answered = outcomes.map(({ node, value }) => `${node}=${value.status}`);
  const nodes = outcomes.map(({ node }) => node);
  const all = [...answered, ...missing.map(({ node }) => `${node}=missing`)];
  const told = { "X-Cluster-Outcomes": all.join(", "), ...clusterHeaders(nodes, missing) };
  if (worst.status >= 300 || missing.length === 0) return new Reply(worst.status, null, { ...worst.headers, ...told });
  const lacking = bareError(new AppError("NODES_MISSING", { message: "Some nodes can't be asked" }));
  return new Reply(lacking.status, null, { ...worst.headers, ...lacking.headers, ...told });
}

/** What an answer says without a body. */
async function bare(reply: Reply | AppError): Promise<Reply> {
  if (reply instanceof AppError) return bareError(reply);
  const { status, headers } = await readWhole(reply);
  return new Reply(status, null, Object.fromEntries(Object.entries(headers).filter(([name]) => TOLD.test(name))));
}

const bareError = ({ status, code, message }: AppError) =>
  new Reply(status, null, { "X-Error-Code": code, "X-Error-Message": headerText(message) });
