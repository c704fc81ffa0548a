import { AppError, nodeNotFound } from "../../errors";
import type { LocalHost } from "../local-host";
import { runOnce } from "../scheduling/idempotency";
import { type Dispatch, idempotencyKeyOf } from "./routed-request";

/**
 * The dispatcher of a node without a cluster: every request runs here.
 * @param self this node's name
 * @param accepting whether it takes new work
 */
export function singleNodeDispatch(self: string, host: LocalHost, accepting: boolean): Dispatch {
  return async (request) => {
    const { pinnedNode, where } = request;
    if (pinnedNode !== undefined && pinnedNode !== self) throw nodeNotFound(pinnedNode, [self]);
    if (where.at !== "bestNode") return request.runHere();
    const key = idempotencyKeyOf(request);
    const plan = where.plan(await request.readBody(), key);
    const findHolders = async (name: string) =>
      (await host.find(name, request.access.labels)).exact.map((found) => ({ node: self, found }));
    return runOnce(plan, key, findHolders, async () => {
      if (!accepting) throw new AppError("NOT_ACCEPTING", { message: "This server takes no new work: start it without --accept false" });
      return request.runHere(plan.body);
    });
  };
}
