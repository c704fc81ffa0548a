import { AppError } from "../../errors";
import type { LocalHost } from "../pool";
import { once } from "../scheduling/idempotency";
import { type Dispatch, keyOf } from "./routed-request";

/**
 * The dispatch of a node that stands alone: every place is here.
 * @param self this node's name
 */
export function singleNodeDispatch(self: string, host: LocalHost): Dispatch {
  return async (exchange) => {
    const { node, where } = exchange;
    if (node !== undefined && node !== self)
      throw new AppError("NODE_NOT_FOUND", { message: `No such node: ${node}`, details: { nodes: [self] } });
    if (where.at !== "bestNode") return exchange.local();
    const key = keyOf(exchange);
    const plan = where.plan(await exchange.body(), key);
    const find = async (name: string) => (await host.find(name)).exact.map((found) => ({ node: self, found }));
    return once(plan, key, find, () => exchange.local(plan.body));
  };
}
