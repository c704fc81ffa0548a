import { AppError, nodeNotFound } from "../../errors";
import type { Found } from "../local-host";
import type { Peer } from "../membership/peer";
import { callPeer, callPeers, includesSelf, namesOfLeft, nodeNames, type Pool } from "../pool";
import { type FanOutResult, fanOut, type MissingNode } from "../rpc/fan-out";
import type { RpcResult } from "../rpc/methods";
import { PeerFailure } from "../rpc/peer-failure";
import { findWithLease, LOOKUP_LEASE_MS } from "./lookup-leases";

interface Owner {
  node: string;
  found: Found;
}

export interface Owners {
  owners: Owner[];
  missing: MissingNode[];
}

/**
 * Finds the nodes that hold a container: by its exact name or full id in the whole pool; else, if allowed, by the first digits
 * of an id that only one container has. If a hint says which node alone has the name, only that node is asked, and all if it has it no more.
 * @param options.askAll asks all nodes in any case
 * @throws AppError CONTAINER_NOT_FOUND; AMBIGUOUS_ID; NODES_MISSING if no node that answers has it and some nodes don't answer
 */
export async function locateContainer(pool: Pool, id: string, options: { prefix: boolean; askAll?: boolean }): Promise<Owners> {
  const { hints, access } = pool;
  const hinted = options.askAll ? undefined : await askHintedNode(pool, id);
  if (hinted) return hinted;
  const keepHint = hints.prepare(id, access?.key ?? "");
  const labels = access?.labels;
  const own = () => findWithLease(pool.host, id, labels, LOOKUP_LEASE_MS);
  const peers = callPeers(pool, "find", { id, lease: true, ...(labels ? { labels } : {}) });
  const { answers, missing } = await askAllNodes<RpcResult<"find">>(pool, own, peers);
  const exact = answers.flatMap(({ node, value }) => value.exact.map((found) => ({ node, found })));
  const leaseMs = Math.min(...answers.map(({ value }) => value.lease ?? 0));
  const [only] = exact;
  if (only && exact.length === 1 && leaseMs > 0 && areMarkedMissing(pool, missing)) {
    const isAlias = only.found.name !== id && only.found.id !== id;
    keepHint({ node: only.node, isAlias, missing }, leaseMs);
  }
  if (exact.length > 0) return { owners: exact, missing };
  const byPrefix = options.prefix ? answers.flatMap(({ node, value }) => value.prefix.map((found) => ({ node, found }))) : [];
  if (byPrefix.length > 1) {
    throw new AppError("AMBIGUOUS_ID", {
      details: { candidates: byPrefix.map(({ node, found }) => ({ node, id: found.id, name: found.name })) },
    });
  }
  if (byPrefix.length === 1) return { owners: byPrefix, missing };
  if (missing.length > 0) throw nodesMissing(`container ${id}`, { id }, missing);
  throw new AppError("CONTAINER_NOT_FOUND", { message: `No such container: ${id}${toldOfLeft(pool)}`, details: { id } });
}

/** Asks the node of a hint. @returns undefined without a hint, and if the node has no container of that name, or gives no answer */
async function askHintedNode(pool: Pool, id: string): Promise<Owners | undefined> {
  const { hints, access } = pool;
  const clientKey = access?.key ?? "";
  const hint = hints.get(id, clientKey);
  if (!hint) return undefined;
  const labels = access?.labels;
  const peers = pool.members.allPeers.filter(({ name }) => name === hint.node);
  const own = () => pool.host.find(id, labels);
  const { answers } =
    hint.node === pool.nodeName
      ? await askAllNodes(pool, own, Promise.resolve({ answers: [], missing: [] }))
      : await fanOut(peers, (peer) => callPeer(pool, peer, "find", { id, ...(labels ? { labels } : {}) }));
  const owners = answers.flatMap(({ node, value }) => value.exact.map((found) => ({ node, found })));
  // Another node may have reported a container of this name meanwhile.
  if (owners.length > 0 && hints.get(id, clientKey) === hint) return { owners, missing: hint.missing };
  hints.forget(id);
  return undefined;
}

/** Whether all these nodes are marked missing: an answer of theirs then ends all hints. */
function areMarkedMissing(pool: Pool, missing: MissingNode[]): boolean {
  if (missing.length === 0) return true;
  const marked = new Set(pool.members.allPeers.filter(({ missingReason }) => missingReason !== undefined).map(({ name }) => name));
  return missing.every(({ node }) => marked.has(node));
}

/**
 * Finds the one node that has a volume.
 * @throws AppError VOLUME_NOT_FOUND; AMBIGUOUS_VOLUME with the nodes; NODES_MISSING if no node that answers has it and some nodes don't
 */
export async function locateVolume(pool: Pool, name: string): Promise<string> {
  const labels = pool.access?.labels;
  const own = async () => ({ held: await pool.host.holdsVolume(name, labels) });
  const { answers, missing } = await askAllNodes(pool, own, callPeers(pool, "volume", { name, ...(labels ? { labels } : {}) }));
  const holders = answers.filter(({ value }) => value.held).map(({ node }) => node);
  if (holders.length > 1) throw new AppError("AMBIGUOUS_VOLUME", { details: { candidates: holders } });
  if (holders[0] !== undefined) return holders[0];
  if (missing.length > 0) throw nodesMissing(`volume ${name}`, { name }, missing);
  throw new AppError("VOLUME_NOT_FOUND", { message: `No such volume: ${name}${toldOfLeft(pool)}`, details: { name } });
}

/** Joins this node's own answer with those of its peers; an engine that fails here makes this node one of the missing. */
async function askAllNodes<T>(pool: Pool, own: () => Promise<T>, peers: Promise<FanOutResult<T>>): Promise<FanOutResult<T>> {
  if (!includesSelf(pool)) return peers;
  const [here, others] = await Promise.all([
    own().then(
      (value) => ({ value }),
      (error: Error) => ({ reason: error.message }),
    ),
    peers,
  ]);
  return "value" in here
    ? { answers: [{ node: pool.nodeName, ...here }, ...others.answers], missing: others.missing }
    : { answers: others.answers, missing: [{ node: pool.nodeName, ...here }, ...others.missing] };
}

/** Says which nodes may have what no other has: those that were stopped, and not started again yet. @returns "" if there are none */
export function toldOfLeft(pool: Pool): string {
  const left = namesOfLeft(pool);
  return left.length === 0 ? "" : `. It may be on ${left.join(", ")}, which left the pool within the hour`;
}

function nodesMissing(subject: string, details: object, missing: MissingNode[]): AppError {
  return new AppError("NODES_MISSING", {
    message: `No ${subject} on the nodes that answer; ${missing.map(({ node }) => node).join(", ")} can't be asked`,
    details: { ...details, missing },
  });
}

/** @throws AppError NODE_NOT_FOUND with the names of all nodes */
export function findPeer(pool: Pool, nodeName: string): Peer {
  const peer = pool.members.allPeers.find(({ name }) => name === nodeName);
  if (peer) return peer;
  throw nodeNotFound(nodeName, nodeNames(pool));
}

/**
 * Finds a node that the client named and pings it first, because the request itself may take long.
 * @throws AppError NODE_NOT_FOUND
 * @throws PeerFailure if it doesn't answer
 */
export async function reachPeer(pool: Pool, nodeName: string): Promise<Peer> {
  const peer = findPeer(pool, nodeName);
  const { missing } = await fanOut([peer], () => callPeer(pool, peer, "ping", {}));
  if (missing[0]) throw new PeerFailure(nodeName, missing[0].reason, false);
  return peer;
}
