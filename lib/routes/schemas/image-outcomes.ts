import type { Outcome } from "../../cluster/routing/where";
import type { AppError } from "../../errors";
import { Reply } from "../../support/reply";

type ImageList = { images: { created: string; id: string; host: string }[] };

/** Merges the image lists of several nodes, newest first. */
export function mergeImageLists(lists: object[]): ImageList {
  const images = (lists as ImageList[]).flatMap((each) => each.images);
  const key = ({ created, id, host }: ImageList["images"][number]) => `${created} ${id} ${host}`;
  return { images: images.sort((a, b) => (key(a) < key(b) ? 1 : -1)) };
}

/** Merges what several nodes have pruned. */
export function mergePruned(bodies: object[]): object {
  const pruned = bodies as { images: object[]; build_cache: number }[];
  return {
    images: pruned.flatMap(({ images }) => images),
    build_cache: pruned.reduce((total, { build_cache }) => total + build_cache, 0),
  };
}

/**
 * Merges the outcomes of a pull on every node: success only if all succeeded, with the highest status among them.
 * @throws AppError the error with the highest status, with all outcomes in its details
 */
export function mergePullOutcomes(outcomes: Outcome[]): Reply {
  const error = worstError(outcomes, "pulled");
  if (error) throw error;
  const done = outcomes.flatMap((each) => ("body" in each ? [each] : []));
  const status = Math.max(...done.map((each) => each.status));
  const { host: _, ...first } = done.find((each) => each.status === status)?.body ?? {};
  return new Reply(status, { ...first, nodes: outcomes.map(outcomeSummary), complete: true, missing: [] });
}

/**
 * Merges the outcomes of a removal on every node: success if at least one node had the image, and no node refused.
 * @throws AppError the error with the highest status, with all outcomes in its details
 */
export function mergeRemovalOutcomes(outcomes: Outcome[]): Reply {
  const done = outcomes.flatMap((each) => ("body" in each ? [each.body] : []));
  const failed = outcomes.flatMap((each) => ("error" in each ? [each.error] : []));
  const refused = failed.some((error) => error.code !== "IMAGE_NOT_FOUND" && error.code !== "NODES_MISSING");
  const error = worstError(outcomes, "removed");
  if (error && (refused || done.length === 0)) throw error;
  const { host: _, ...first } = done[0] ?? {};
  const missing = outcomes.flatMap((each) => ("error" in each && each.error.code === "NODES_MISSING" ? [each.node] : []));
  return new Reply(200, { ...first, nodes: outcomes.map(outcomeSummary), complete: missing.length === 0, missing });
}

/**
 * The error with the highest status, with the outcomes of all nodes in its details; undefined if no node failed.
 * @param done what the message tells of the nodes that did it, such as "removed"
 */
function worstError(outcomes: Outcome[], done: string): AppError | undefined {
  const failed = outcomes.flatMap((each) => ("error" in each ? [each] : []));
  const [worst] = failed.sort((a, b) => b.error.status - a.error.status);
  if (!worst) return undefined;
  const { node, error } = worst;
  error.details.nodes = outcomes.map(outcomeSummary);
  const others = outcomes.flatMap((each) => ("body" in each ? [each.node] : []));
  if (others.length > 0) error.message += ` (on ${node}); ${done} on ${others.join(", ")}`;
  return error;
}

function outcomeSummary(outcome: Outcome): object {
  if ("error" in outcome) {
    const { kind, clientCode: code, message } = outcome.error;
    return { host: outcome.node, error: kind, code, message };
  }
  const { image: _, ...body } = outcome.body;
  return { ...body, host: outcome.node };
}
