import { AppError, answeredError, asAppError } from "../../errors";
import type { Reply } from "../../support/reply";
import { callPeers, type Pool } from "../pool";
import { fanOut, type Missing } from "../rpc/fan-out";
import { forward, readWhole } from "./forward";
import type { RoutedRequest } from "./routed-request";
import type { Outcome } from "./where";

/** What all nodes answered, this one first, and who can't be asked. */
export interface Replies {
  replies: { node: string; value: Reply | AppError }[];
  missing: Missing[];
}

/**
 * Has all nodes do it. What they stream is still to be read.
 * @param left ms that the client still waits
 */
export async function onAllNodes(pool: Pool, exchange: RoutedRequest, left: number): Promise<Replies> {
  // Who doesn't answer at all is found out first: the work itself may take long.
  await callPeers(pool, "ping", {});
  const [own, others] = await Promise.all([
    exchange.local().catch((thrown: unknown) => failed(pool, thrown)),
    fanOut(pool.members.peers, (peer) => forward(pool, peer, exchange, left)),
  ]);
  const replies = [{ node: pool.self, value: own }, ...others.answers];
  return { replies, missing: others.missing };
}

function failed({ log }: Pool, thrown: unknown): AppError {
  const error = asAppError(thrown);
  if (error !== thrown) log.error(error.message, { code: error.code, cause: thrown instanceof Error ? thrown.stack : String(thrown) });
  return error;
}

/** What one of them came to; an error, too, if its answer can't be read to its end. */
export async function outcomeOf(node: string, reply: Reply | AppError): Promise<Outcome> {
  if (reply instanceof AppError) return { node, error: reply };
  try {
    const body = JSON.parse(String((await readWhole(reply)).body)) as Record<string, unknown>;
    return reply.status < 400 ? { node, status: reply.status, body } : { node, error: answeredError(body) };
  } catch (error) {
    return { node, error: brokenOff(node, error) };
  }
}

/** The error that a node's answer has no end. */
export const brokenOff = (node: string, error: unknown): AppError =>
  new AppError("NODE_FAILED", { message: `The node ${node} gave no answer: ${(error as Error).message}`, details: { node } });
