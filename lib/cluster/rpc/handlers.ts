import type { LocalHost } from "../local-host";
import type { Members } from "../membership/members";
import type { NodeRecord } from "../membership/record";
import type { ContainerCache } from "../routing/container-cache";
import type { ListLeases } from "../routing/list-leases";
import type { LocationHints } from "../routing/location-hints";
import { findWithLease, type LookupLeases } from "../routing/lookup-leases";
import type { Bidder } from "../scheduling/bidder";
import { isRpcMethod, parseParams, type RpcHandler, type RpcMethod, type RpcParams, type RpcResult } from "./methods";

export interface RpcHandlerDeps {
  host: LocalHost;
  members: Members;
  bidder: Bidder;
  leases: ListLeases;
  containerCache: ContainerCache;
  lookupLeases: LookupLeases;
  hints: LocationHints;
  /** makes this node's record as of now */
  ownRecord(): Promise<NodeRecord>;
}

/** Makes the handler of all calls that other nodes make to this one. */
export function rpcHandlers(deps: RpcHandlerDeps): RpcHandler {
  const { host, members, bidder, leases, containerCache, lookupLeases, hints, ownRecord } = deps;
  const handlers: { [M in RpcMethod]: (params: RpcParams<M>, from: string) => RpcResult<M> | Promise<RpcResult<M>> } = {
    ping: () => ({}),
    status: ownRecord,
    // The lease begins before the container is looked for: a name given in between must reach the caller.
    find: ({ id, labels, lease }, from) => findWithLease(host, id, labels, lease ? lookupLeases.grant(from, id) : undefined),
    named: ({ name }) => {
      hints.forget(name);
      return {};
    },
    list: async ({ have }, from) => {
      // The lease begins before the list is read: a change in between must reach the caller.
      const leaseMs = leases.grant(from);
      const { version, json, followed } = await host.list();
      const lease = followed ? leaseMs : 0;
      return version === have ? { version, lease } : { version, lease, json: json.toString() };
    },
    changed: (_, from) => {
      containerCache.invalidate(from);
      return {};
    },
    volume: async ({ name, labels }) => ({ held: await host.holdsVolume(name, labels) }),
    use: ({ labels }) => host.countUse(labels),
    bid: (needs) => bidder.bid(needs),
    name: ({ name, claim, late }) => host.answerName(name, claim, late),
    join({ record, predecessor }, from) {
      if (record.name !== from) throw new Error("it is another node's record");
      members.handleJoin(record, predecessor);
      return {};
    },
    async leave({ process, predecessor }, from) {
      // At a reload the node's next process is in the store before this one leaves.
      await members.refresh();
      members.handleLeave(from, process, predecessor);
      return {};
    },
  };

  // On the wire the envelope's fields are `question` (the method) and `body` (its params).
  return async (method, params, from) => {
    if (!isRpcMethod(method)) throw new Error(`it does not know the question ${method}`);
    const handle = handlers[method] as (params: unknown, from: string) => object | Promise<object>;
    return handle(parseParams(method, params), from);
  };
}
