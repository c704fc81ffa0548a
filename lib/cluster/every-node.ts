import { asAppError } from "../errors";
import { headerText, Reply } from "../support/reply";
import type { Exchange } from "./exchange";
import { fanOut, type Missing } from "./fan-out";
import { sendWatched } from "./forward";
import { askPeers, type Pool } from "./pool";

/** Who answered and who didn't, as every merged answer says. */
export function clusterHeaders(answered: string[], missing: Missing[]): Record<string, string> {
  const names = missing.map(({ node }) => node).join(", ");
  return { "X-Cluster-Nodes": answered.join(", "), ...(missing.length > 0 ? { "X-Cluster-Missing": names } : {}) };
}

/** Has every node do it and says each one's outcome: 200 only if all did, else the worst. */
export async function eachOutcome(pool: Pool, exchange: Exchange, left: number): Promise<Reply> {
  // Who doesn't answer at all is found out first: the work itself may take long.
  await askPeers(pool, "ping", {});
  const call = { method: exchange.method, url: exchange.url, caller: exchange.caller, left, timeout: left, signal: exchange.gone };
  const [own, others] = await Promise.all([
    exchange.local().catch((error: unknown) => failed(pool, error)),
    fanOut(pool.members.peers, async (peer) => {
      const response = await sendWatched(pool, peer, call);
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

function failed({ log }: Pool, thrown: unknown): Reply {
  const error = asAppError(thrown);
  if (error !== thrown) log.error(error.message, { code: error.code, cause: thrown instanceof Error ? thrown.stack : String(thrown) });
  return new Reply(error.status, null, { "X-Error-Code": error.code, "X-Error-Message": headerText(error.message) });
}
