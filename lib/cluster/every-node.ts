import type { AppError } from "../errors";
import { Reply } from "../support/reply";
import type { Exchange } from "./exchange";
import { fanOut, type Missing } from "./fan-out";
import { whole } from "./forward";
import { type PeerCall, PeerFailure } from "./peer-client";
import { askPeers, type Pool } from "./pool";

/** Who answered and who didn't, as every merged answer says. */
export function clusterHeaders(answered: string[], missing: Missing[]): Record<string, string> {
  const names = missing.map(({ node }) => node).join(", ");
  return { "X-Cluster-Nodes": answered.join(", "), ...(missing.length > 0 ? { "X-Cluster-Missing": names } : {}) };
}

/** Asks every node for its list and joins them, byte by byte: what is in them is nobody's business here. */
export async function joinLists(pool: Pool, exchange: Exchange): Promise<Reply> {
  const call = {
    method: "GET",
    url: exchange.url,
    caller: exchange.caller,
    left: pool.peerTimeout,
    timeout: pool.peerTimeout,
    signal: exchange.gone,
  };
  const [own, others] = await Promise.all([
    exchange
      .local()
      .then(whole)
      .then(bytesOf, (error: AppError) => error),
    fanOut(pool.members.peers, async (peer) => readList(pool, peer.name, call, await pool.client.send(peer, call))),
  ]);
  const failed = !Buffer.isBuffer(own);
  // Alone with a dead engine there is nothing to answer.
  if (failed && others.answers.length === 0) throw own;
  const lists = [...(failed ? [] : [own]), ...others.answers.map(({ value }) => value)];
  const missing = [...(failed ? [{ node: pool.self, reason: own.message }] : []), ...others.missing];
  const answered = [...(failed ? [] : [pool.self]), ...others.answers.map(({ node }) => node)];
  return new Reply(200, join(lists), { "Content-Type": "application/json; charset=utf-8", ...clusterHeaders(answered, missing) });
}

async function readList(pool: Pool, node: string, call: PeerCall, response: import("node:http").IncomingMessage): Promise<Buffer> {
  const late = setTimeout(() => response.destroy(new Error(`no answer in ${call.timeout} ms`)), pool.peerTimeout);
  try {
    const { status, body } = await whole(new Reply(response.statusCode ?? 502, response));
    if (status !== 200) throw new PeerFailure(node, `status ${status}`, true, true);
    return body as Buffer;
  } catch (error) {
    throw error instanceof PeerFailure ? error : new PeerFailure(node, (error as Error).message, true, call.signal?.aborted);
  } finally {
    clearTimeout(late);
  }
}

function bytesOf(reply: Reply): Buffer {
  return reply.body as Buffer;
}

/** Joins JSON arrays. */
function join(lists: Buffer[]): Buffer {
  const inner = lists.map((list) => list.subarray(1, list.length - 1)).filter((list) => list.length > 0);
  const comma = Buffer.from(",");
  return Buffer.concat([Buffer.from("["), ...inner.flatMap((list, index) => (index === 0 ? [list] : [comma, list])), Buffer.from("]")]);
}

/** Has every node do it and says each one's outcome: 200 only if all did, else the worst. */
export async function eachOutcome(pool: Pool, exchange: Exchange, left: number): Promise<Reply> {
  // Who doesn't answer at all is found out first: the work itself may take long.
  await askPeers(pool, "GET", "/_node/ping");
  const call = { method: exchange.method, url: exchange.url, caller: exchange.caller, left, timeout: left, signal: exchange.gone };
  const [own, others] = await Promise.all([
    exchange
      .local()
      .catch((error: AppError) => new Reply(error.status ?? 500, null, { "X-Error-Code": error.code, "X-Error-Message": error.message })),
    fanOut(pool.members.peers, async (peer) => {
      const response = await pool.client.send(peer, call);
      response.resume();
      const said = Object.entries(response.headers).filter(([name]) => /^(x-error-|x-image-|x-pull-|docker-content-digest)/.test(name));
      return new Reply(response.statusCode ?? 502, null, Object.fromEntries(said.map(([name, value]) => [name, String(value)])));
    }),
  ]);
  const outcomes = [{ node: pool.self, value: own }, ...others.answers];
  const worst = outcomes.reduce((a, b) => (b.value.status > a.value.status ? b : a));
  const missing = others.missing.map(({ node }) => `${node}=missing`);
  const status = worst.value.status < 300 && missing.length > 0 ? 503 : worst.value.status;
  return new Reply(status, null, {
    ...worst.value.headers,
    ...(status === 503 && worst.value.status < 300
      ? { "X-Error-Code": "NODES_MISSING", "X-Error-Message": "Some nodes can't be asked" }
      : {}),
    "X-Cluster-Outcomes": [...outcomes.map(({ node, value }) => `${node}=${value.status}`), ...missing].join(", "),
    ...clusterHeaders(
      outcomes.map(({ node }) => node),
      others.missing,
    ),
  });
}
