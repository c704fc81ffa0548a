import { AppError } from "../errors";
import { Reply } from "../support/reply";
import { clusterHeaders } from "./every-node";
import type { Exchange } from "./exchange";
import { fanOut } from "./fan-out";
import { forward, whole } from "./forward";
import { PeerFailure } from "./peer-failure";
import { askPeers, type Pool } from "./pool";
import type { Merge } from "./where";

/**
 * Has every node answer, and makes one object of their answers, which says whether it is complete.
 * @param merge of the bodies of those who answered, this node's first
 * @param left ms that the client still waits
 * @throws AppError this node's own, if nobody answered
 */
export async function mergedAnswer(pool: Pool, exchange: Exchange, merge: Merge, left: number): Promise<Reply> {
  // Who doesn't answer at all is found out first: the work itself may take its time.
  await askPeers(pool, "ping", {});
  const [own, others] = await Promise.all([
    exchange.local().then(bodyOf, (error: AppError) => error),
    fanOut(pool.members.peers, async (peer) => {
      const reply = await whole(await forward(pool, peer, exchange, left));
      const body = await bodyOf(reply);
      if (reply.status >= 400) throw new PeerFailure(peer.name, String((body as { message?: string }).message), true, true);
      return body;
    }),
  ]);
  const failed = own instanceof AppError;
  if (failed && others.answers.length === 0) throw own;
  const answers = [...(failed ? [] : [{ node: pool.self, value: own }]), ...others.answers];
  const missing = [...(failed ? [{ node: pool.self, reason: own.message }] : []), ...others.missing];
  const body = merge(
    answers.map(({ value }) => value),
    exchange.query,
  );
  const said = { complete: missing.length === 0, missing: missing.map(({ node }) => node) };
  return new Reply(
    200,
    { ...body, ...said },
    clusterHeaders(
      answers.map(({ node }) => node),
      missing,
    ),
  );
}

async function bodyOf(reply: Reply): Promise<object> {
  const { body } = await whole(reply);
  return JSON.parse(String(body)) as object;
}
