import { AppError } from "../../errors";
import { Reply } from "../../support/reply";
import type { Peer } from "../membership/peer";
import { callPeer, type Pool } from "../pool";
import { clusterHeaders, fanOut, type Missing } from "../rpc/fan-out";
import { PeerFailure } from "../rpc/peer-failure";
import { once } from "../scheduling/idempotency";
import type { Scheduler } from "../scheduling/scheduler";
import type { ContainerCache } from "./container-cache";
import { eachAnswer } from "./each-node";
import { eachOutcome } from "./every-node";
import { findVolume } from "./find-volume";
import { forward, forwardRun, readWhole } from "./forward";
import type { ListLeases } from "./list-leases";
import { findOwners } from "./locate";
import { mergedAnswer } from "./merge";
import { type Dispatch, keyOf, type RoutedRequest } from "./routed-request";
import type { Plan } from "./where";

/**
 * The dispatch of a node among others.
 * @param list the containers of all
 * @param leases what others hold of this node's list: they know of a change before it is answered
 * @param left ms that a client's request is given on another node
 */
export function clusterDispatch(pool: Pool, list: ContainerCache, leases: ListLeases, placer: Scheduler, left: number): Dispatch {
  return async (exchange) => {
    try {
      return await take(exchange);
    } catch (error) {
      throw error instanceof PeerFailure ? error.toAppError() : error;
    } finally {
      await leases.settled();
    }
  };

  async function take(exchange: RoutedRequest): Promise<Reply> {
    const { where } = exchange;
    if (exchange.from) {
      if (where.at !== "bestNode") return exchange.local();
      return placer.takeHere(exchange, where.plan(await exchange.body(), keyOf(exchange)));
    }
    if (exchange.node !== undefined && where.at !== "bestNode")
      return exchange.node === pool.self ? exchange.local() : forward(pool, await reach(exchange.node), exchange, left);
    switch (where.at) {
      case "here":
        return exchange.local();
      case "bestNode":
        return placeOnce(exchange, where.plan(await exchange.body(), keyOf(exchange)));
      case "everyNode":
        if (where.merge === "list") return list.read();
        return where.merge === "outcomes" ? eachOutcome(pool, exchange, left) : mergedAnswer(pool, exchange, where.merge, left);
      case "eachNode":
        return eachAnswer(pool, exchange, where.merge, left);
      case "volume":
        return onOne(exchange, [await findVolume(pool, exchange.id ?? "")]);
      case "owner":
      case "owners": {
        const { owners, missing } = await findOwners(pool, exchange.id ?? "", { prefix: where.at === "owner" || where.prefix });
        const nodes = [...new Set(owners.map(({ node }) => node))];
        return where.at === "owner" ? onOne(exchange, nodes) : onAll(exchange, nodes, missing);
      }
    }
  }

  function placeOnce(exchange: RoutedRequest, plan: Plan): Promise<Reply> {
    const { node } = exchange;
    const find = async (name: string) => (await findOwners(pool, name, { prefix: false })).owners;
    const run = async () => {
      if (node === undefined) return placer.place(exchange, plan);
      if (node === pool.self) return placer.takeHere(exchange, plan);
      return forwardRun(pool, await reach(node), exchange, left + (plan.longer ?? 0), plan);
    };
    return once(plan, keyOf(exchange), find, run);
  }

  /** The node that a client has named; found out first whether it answers, for the work itself may take long. */
  async function reach(node: string): Promise<Peer> {
    const peer = peerOf(node);
    const { missing } = await fanOut([peer], () => callPeer(pool, peer, "ping", {}));
    if (missing[0]) throw new PeerFailure(node, missing[0].reason, false);
    return peer;
  }

  function peerOf(node: string): Peer {
    const peer = pool.members.peers.find(({ name }) => name === node);
    if (peer) return peer;
    throw new AppError("NODE_NOT_FOUND", {
      message: `No such node: ${node}`,
      details: { nodes: [pool.self, ...pool.members.peers.map(({ name }) => name)] },
    });
  }

  async function onOne(exchange: RoutedRequest, nodes: string[]): Promise<Reply> {
    if (nodes.length > 1) throw new AppError("AMBIGUOUS_ID", { details: { candidates: nodes } });
    const node = nodes[0] as string;
    return node === pool.self ? exchange.local() : forward(pool, peerOf(node), exchange, left);
  }

  async function onAll(exchange: RoutedRequest, nodes: string[], missing: Missing[]): Promise<Reply> {
    const headers = clusterHeaders(nodes, missing);
    if (nodes.length === 1) return asList(await onOne(exchange, nodes), headers);
    const replies = await Promise.all(
      nodes.map(async (node) => {
        return readWhole(await (node === pool.self ? exchange.local() : forward(pool, peerOf(node), exchange, left)));
      }),
    );
    const worst = replies.find(({ status }) => status >= 400);
    if (worst) return worst;
    if (!replies.every(isJson)) throw new AppError("AMBIGUOUS_ID", { details: { candidates: nodes } });
    const status = Math.max(...replies.map((reply) => reply.status));
    return new Reply(
      status,
      replies.map((reply) => JSON.parse(String(reply.body)) as object),
      headers,
    );
  }
}

function isJson(reply: Reply): boolean {
  const type = reply.headers["content-type"] ?? reply.headers["Content-Type"];
  return type === undefined || type.startsWith("application/json");
}

/** In a pool an answer about every owner is a list, also where there is but one; a stream of text stays what it is. */
async function asList(reply: Reply, headers: Record<string, string>): Promise<Reply> {
  if (reply.status >= 300 || !isJson(reply)) return new Reply(reply.status, reply.body, { ...reply.headers, ...headers });
  const { body } = await readWhole(reply);
  const { "content-length": _, ...rest } = reply.headers;
  return new Reply(reply.status, Buffer.concat([Buffer.from("["), body as Buffer, Buffer.from("]")]), {
    "Content-Type": "application/json; charset=utf-8",
    ...rest,
    ...headers,
  });
}
