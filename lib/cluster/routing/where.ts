import type { AppError } from "../../errors";
import type { Reply } from "../../support/reply";
import type { Needs } from "../scheduling/bid";

/**
 * Where a route runs. The route declares it; the dispatcher takes each request there.
 * - here: the node that received the request
 * - bestNode: the node that the scheduler chooses
 * - owner: the one node that holds container `:id`
 * - owners: every node that holds it, replies merged to a list
 * - volume: the node that holds volume `:name`
 * - node: the node `:name`
 * - everyNode: all nodes, replies merged
 * - everyOutcome: all nodes; each node's success or failure counts, and events are passed on as they arrive
 */
export type Where =
  | { at: "here" }
  | { at: "bestNode"; plan: MakePlan; live: boolean }
  | { at: "owner" }
  | { at: "owners"; prefix: boolean }
  | { at: "volume" }
  | { at: "node" }
  | { at: "everyNode"; merge: "list" | "outcomes" | "timeline" | "findings" | MergeBodies }
  | { at: "everyOutcome"; merge: MergeOutcomes };

/** Derives a plan from a valid body; `key` is the request's Idempotency-Key. */
export type MakePlan = (body: object, key: string | undefined) => Plan;

/** Merges the bodies of the nodes that answered; `query` is the request's, parsed by the route's schema. */
export type MergeBodies = (bodies: object[], query: object) => object;

/** What one node answered; a node that can't be reached counts as NODES_MISSING. */
export type Outcome = { node: string; status: number; body: Record<string, unknown> } | { node: string; error: AppError };

/**
 * Merges the outcomes of all nodes.
 * @throws AppError if the merged outcome is a failure
 */
export type MergeOutcomes = (outcomes: Outcome[]) => Reply;

/** A run that has no node yet. */
export interface Plan {
  /**
   * Fixed before the node is chosen, so that a second try can't create a second container; of one-off runs only a label for messages.
   */
  name: string;
  /** the client's own name for the container, or an alias; absent if it gave none */
  givenName?: string | undefined;
  body: object;
  needs: Needs;
  /** Names of the nodes that can take it; any node if absent. */
  nodes?: readonly string[];
  /** Creating the container completes the request; another request starts it later. */
  doneWhenCreated?: boolean;
  /** ms that the reply may take beyond a run's own time */
  extraWaitMs?: number;
  /** Fields that the reply has beside id and name when the container exists already; gets an item of the container list. */
  responseFields?: (container: object) => object;
  /** Turns the error "no node can take it" into the one that the route documents. */
  mapRefusal?: (error: AppError) => AppError;
}

export const here: Where = { at: "here" };
export const owner: Where = { at: "owner" };
export const volume: Where = { at: "volume" };
export const namedNode: Where = { at: "node" };

/** @param options.live the run ends when its client disconnects, and its reply may stream; else it goes on without a client */
export const bestNode = (plan: MakePlan, options = { live: false }): Where => ({ at: "bestNode", plan, ...options });

/** @param options.prefix whether the first digits of an id suffice */
export const owners = (options: { prefix: boolean }): Where => ({ at: "owners", ...options });

/**
 * @param merge "list": joins container lists; "outcomes": lists each status and replies with the worst; "timeline": merges streams of
 *   entries by their `timestamp`, up to `limit` of the query; "findings": joins streams of entries as they arrive, up to `limit`; or a
 *   function of the bodies
 */
export const everyNode = (merge: "list" | "outcomes" | "timeline" | "findings" | MergeBodies): Where => ({ at: "everyNode", merge });

export const everyOutcome = (merge: MergeOutcomes): Where => ({ at: "everyOutcome", merge });
