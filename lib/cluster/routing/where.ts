import type { AppError } from "../../errors";
import type { Reply } from "../../support/reply";
import type { Needs } from "../scheduling/scoring";

/**
 * Where a route runs: it says so itself, and the cluster takes it there.
 * - here: the node that got the request
 * - bestNode: the node that placement chooses
 * - owner: the node that holds container `:id`
 * - owners: every node that holds it, answers merged
 * - volume: the node that holds volume `:name`
 * - everyNode: all nodes, answers merged
 * - eachNode: all nodes, and what each came to counts; what they send as events goes out as it comes
 */
export type Where =
  | { at: "here" }
  | { at: "bestNode"; plan: (body: object, key: string | undefined) => Plan; live: boolean }
  | { at: "owner" }
  | { at: "owners"; prefix: boolean }
  | { at: "volume" }
  | { at: "everyNode"; merge: "list" | "outcomes" | Merge }
  | { at: "eachNode"; merge: MergeOutcomes };

/** Makes one answer of what the nodes answered; `query` is the request's, as its schema gives it. */
export type Merge = (bodies: object[], query: object) => object;

/** What one node came to; one that can't be asked to NODES_MISSING. */
export type Outcome = { node: string; status: number; body: Record<string, unknown> } | { node: string; error: AppError };

/**
 * Makes one answer of what each node came to.
 * @throws AppError if that is what they came to together
 */
export type MergeOutcomes = (outcomes: Outcome[]) => Reply;

/** A run before it has a node: its name is fixed, so that a second try can't make a second container. */
export interface Plan {
  name: string;
  body: object;
  needs: Needs;
  /** It is done when it is created: it is started later, by another request. */
  created?: boolean;
  /** ms that its answer may take longer than a run's own */
  longer?: number;
  /** what its answer tells of the container, for when it is there already; what it gets is an item of the list of containers */
  responseFields?: (container: object) => object;
  /** what its route makes of the error that no node can take it */
  mapRefusal?: (error: AppError) => AppError;
}

export const here: Where = { at: "here" };
export const volume: Where = { at: "volume" };

/**
 * @param plan reads a valid body; `key` is the request's Idempotency-Key
 * @param options.live it ends with its client, and its answer may stream; else it goes on
 */
export const bestNode = (plan: (body: object, key: string | undefined) => Plan, options = { live: false }): Where => ({
  at: "bestNode",
  plan,
  ...options,
});

export const owner: Where = { at: "owner" };

/** @param options.prefix whether the beginning of an id will do */
export const owners = (options: { prefix: boolean }): Where => ({ at: "owners", ...options });

/** @param merge the lists of containers joined to one, each node's outcome with the worst status on top, or how objects become one */
export const everyNode = (merge: "list" | "outcomes" | Merge): Where => ({ at: "everyNode", merge });

/** @param merge how what each node came to becomes one answer */
export const eachNode = (merge: MergeOutcomes): Where => ({ at: "eachNode", merge });
