import { AppError } from "../errors";
import type { Where } from "./where";

/**
 * Takes a request where it runs.
 * @param where the route's own word
 * @param node the node that the request pins itself to, if any
 * @param local runs the route on this host
 * @throws AppError NODE_NOT_FOUND
 */
export type Dispatch = (where: Where, node: string | undefined, local: () => Promise<unknown>) => Promise<unknown>;

/**
 * The dispatch of a node that stands alone: every place is here.
 * @param name this node's name
 */
export function aloneDispatch(name: string): Dispatch {
  return (_where, node, local) => {
    if (node !== undefined && node !== name)
      throw new AppError("NODE_NOT_FOUND", { message: `No such node: ${node}`, details: { nodes: [name] } });
    return local();
  };
}
