import type { Needs } from "./placement";

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
  | { at: "bestNode"; plan: (body: object, key: string | undefined) => Plan; live: boolean }
  | { at: "owner" }
  | { at: "owners"; prefix: boolean }
  | { at: "everyNode"; merge: "list" | "outcomes" };

/** A run before it has a node: its name is fixed, so that a second try can't make a second container. */
export interface Plan {
  name: string;
  body: object;
  needs: Needs;
}

export const here: Where = { at: "here" };

/**
 * @param plan reads a valid body; `key` is the request's Idempotency-Key
 * @param options.live it ends with its client, and its answer may stream; else it goes on
 */
export const bestNode = (plan: (body: object, key: string | undefined) => Plan, options = { live: false }): Where => ({
  at: "bestNode",
  plan,
  ...options,
});

/** @param options.prefix whether the beginning of an id will do */
export const owners = (options: { prefix: boolean }): Where => ({ at: "owners", ...options });

/** @param merge the lists of containers joined to one, or each node's outcome with the worst status on top */
export const everyNode = (merge: "list" | "outcomes"): Where => ({ at: "everyNode", merge });
