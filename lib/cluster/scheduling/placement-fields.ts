import { isJson, Reply } from "../../support/reply";
import { namesOfLeft, type Pool } from "../pool";
import type { Plan } from "../routing/where";
import type { Bid, Needs } from "./bid";
import type { RankedBid } from "./scoring";

/** One entry of the order of nodes, as it is logged and shown to clients. */
export const orderEntry = ({ bid, ahead, load }: RankedBid) => ({ node: bid.node, ahead, load });

const BEST = "volumes first, then where nothing waits, then the image, then the least load";

/** Adds to a reply why its node was chosen. The fields are shown to clients. */
export function withPlacement(reply: Reply, chosen: string, bids: Bid[], ranked: RankedBid[]): Reply {
  return withFields(reply, () => ({ placement: { chosen, why: BEST, order: ranked.map(orderEntry), bids } }));
}

/** Adds to a reply that its node is the one that the client named: no other was asked. */
export function withNamedPlacement(reply: Reply, chosen: string): Reply {
  return withFields(reply, () => ({ placement: { chosen, why: "the request names it", order: [], bids: [] } }));
}

/**
 * Adds a warning to a reply if a volume that the run names may be another one than the client means: its node had it not, and one that
 * declined has it, or one that does not answer or was stopped may have it. Streams and texts stay as they are.
 * @param chosen the bid of the node that ran it
 */
export function withVolumeWarning(reply: Reply, chosen: Bid, bids: Bid[], { volumes }: Needs, pool: Pool): Reply {
  if (volumes.length === 0 || chosen.hasVolumes) return reply;
  const declining = bids.filter(({ declines, hasVolumes }) => declines !== undefined && hasVolumes);
  const elsewhere = [...declining.map(({ node, declines }) => `${node} has it, but ${declines}`), ...unknownNodes(pool)];
  if (elsewhere.length === 0) return reply;
  return withWarning(reply, `a volume of this name (${volumes.join(", ")}) is new and empty on ${chosen.node}: ${elsewhere.join("; ")}`);
}

/**
 * Adds a warning to a reply if a node that does not answer, or was stopped, may have another container of the name that the client gave,
 * or one of an earlier request with its Idempotency-Key. Streams and texts stay as they are.
 */
export function withNameWarning(reply: Reply, { givenName }: Pick<Plan, "givenName">, key: string | undefined, pool: Pool): Reply {
  const unknown = unknownNodes(pool);
  if (unknown.length === 0 || (givenName === undefined && key === undefined)) return reply;
  const other = givenName === undefined ? "a container of this Idempotency-Key" : `another container named ${givenName}`;
  return withWarning(reply, `there may be ${other}: ${unknown.join("; ")}`);
}

/** Says of each node whose containers and volumes nobody can tell now why that is so. */
function unknownNodes(pool: Pool): string[] {
  return [
    ...pool.members.peers.flatMap(({ name, missingReason }) => (missingReason === undefined ? [] : [`${name} does not answer`])),
    ...namesOfLeft(pool).map((name) => `${name} left the pool within the hour`),
  ];
}

function withWarning(reply: Reply, warning: string): Reply {
  return withFields(reply, ({ Warnings, warnings }) =>
    // The Docker API's own answer to a create has its warnings in a field of another spelling.
    Warnings === undefined ? { warnings: [...listOf(warnings), warning] } : { Warnings: [...listOf(Warnings), warning] },
  );
}

const listOf = (value: unknown): unknown[] => (Array.isArray(value) ? value : []);

function withFields(reply: Reply, fieldsOf: (body: Record<string, unknown>) => object): Reply {
  if (reply.body === null || !isJson(reply)) return reply;
  const body = JSON.parse(Buffer.isBuffer(reply.body) ? reply.body.toString() : JSON.stringify(reply.body)) as Record<string, unknown>;
  const { "content-length": _, ...headers } = reply.headers;
  const withThem = { ...body, ...fieldsOf(body) };
  return new Reply(reply.status, Buffer.isBuffer(reply.body) ? Buffer.from(JSON.stringify(withThem)) : withThem, headers);
}
