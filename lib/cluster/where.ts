/**
 * Where a route runs: it says so itself, and the cluster takes it there.
 * - here: the node that got the request
 * - bestNode: the node that placement chooses
 * - owner: the node that holds container `:id`
 * - owners: every node that holds it, answers merged
 * - everyNode: all nodes, answers merged
 */
export type Where =
  | { at: "here" }
  | { at: "bestNode" }
  | { at: "owner" }
  | { at: "owners"; merge: Merge }
  | { at: "everyNode"; merge: Merge };

/** How the answers of several nodes become one: lists joined, or each node's outcome in a list with the worst status on top. */
export type Merge = "concat" | "outcomes";

export const here: Where = { at: "here" };
export const bestNode: Where = { at: "bestNode" };
export const owners = (merge: Merge): Where => ({ at: "owners", merge });
export const everyNode = (merge: Merge): Where => ({ at: "everyNode", merge });
