import { z } from "zod";
import type { Outcome } from "../../cluster/routing/where";
import type { AppError } from "../../errors";
import type { AnswerDoc } from "../../http/route";
import { Reply } from "../../support/reply";
import { imageReference, registryLogin, optional } from "./common";

/** The body of `POST /images/pull` (dockapi.md). */
export const imagePullBody = z.object({
  image: imageReference.describe("The image to pull"),
  auth_config: optional(registryLogin).describe("Login at the image's registry"),
});

type ImageList = { imageListAnswers: { created: string; id: string; host: string }[] };

/** The lists of several nodes as one, the newest first. */
export function mergeImageLists(lists: object[]): ImageList {
  const images = (lists as ImageList[]).flatMap((each) => each.imageListAnswers);
  const key = ({ created, id, host }: ImageList["imageListAnswers"][number]) => `${created} ${id} ${host}`;
  return { imageListAnswers: images.sort((a, b) => (key(a) < key(b) ? 1 : -1)) };
}

/** Pulled is what all nodes have; else it is the worst that one of them came to. */
export function mergePullOutcomes(outcomes: Outcome[]): Reply {
  const error = worstError(outcomes);
  if (error) throw error;
  const done = outcomes.flatMap((each) => ("body" in each ? [each] : []));
  const status = Math.max(...done.map((each) => each.status));
  const { host: _, ...first } = done.find((each) => each.status === status)?.body ?? {};
  return new Reply(status, { ...first, nodes: outcomes.map(outcomeSummary), complete: true, missing: [] });
}

/** Removed is what at least one node had, unless one that has it can't. */
export function mergeRemovalOutcomes(outcomes: Outcome[]): Reply {
  const done = outcomes.flatMap((each) => ("body" in each ? [each.body] : []));
  const failed = outcomes.flatMap((each) => ("error" in each ? [each.error] : []));
  const refused = failed.some((error) => error.code !== "IMAGE_NOT_FOUND" && error.code !== "NODES_MISSING");
  // Where it was nowhere, a node that is missing may have it.
  const error = worstError(outcomes);
  if (error && (refused || done.length === 0)) throw error;
  const { host: _, ...first } = done[0] ?? {};
  const missing = outcomes.flatMap((each) => ("error" in each && each.error.code === "NODES_MISSING" ? [each.node] : []));
  return new Reply(200, { ...first, nodes: outcomes.map(outcomeSummary), complete: missing.length === 0, missing });
}

/** The error of the highest status, with what every node came to. */
function worstError(outcomes: Outcome[]): AppError | undefined {
  const errors = outcomes.flatMap((each) => ("error" in each ? [each.error] : []));
  const [worst] = errors.sort((a, b) => b.status - a.status);
  if (worst) worst.details.nodes = outcomes.map(outcomeSummary);
  return worst;
}

function outcomeSummary(outcome: Outcome): object {
  if ("error" in outcome) {
    const { kind, clientCode: code, message } = outcome.error;
    return { host: outcome.node, error: kind, code, message };
  }
  const { image: _, ...body } = outcome.body;
  return { ...body, host: outcome.node };
}

const host = z.string().describe("the node");
const clusterFields = {
  host: host.optional(),
  nodes: z.array(z.looseObject({ host })).optional().describe("In a cluster: what each node came to"),
  complete: z.boolean().optional(),
  missing: z.array(z.string()).optional(),
};

type Answers = Record<number, AnswerDoc>;

export const images: Answers = {
  200: {
    description: "The images, the newest first; of several nodes with whether that is all of them, and who is missing",
    schema: z.object({
      images: z.array(
        z.object({
          id: z.string(),
          tags: z.array(z.string()),
          digests: z.array(z.string()),
          size: z.number().describe("bytes"),
          created: z.string(),
          host,
        }),
      ),
      complete: z.boolean().optional(),
      missing: z.array(z.string()).optional(),
    }),
  },
};

export const imagePullAnswers: Answers = {
  200: {
    description: "Every node has it; as text/event-stream or application/x-ndjson: `progress` of each layer as it comes, then the `result`",
    schema: z.object({
      image: z.string(),
      status: z.literal("pulled"),
      id: z.string(),
      digest: z.string().optional(),
      warnings: z.array(z.string()).optional(),
      ...clusterFields,
    }),
    contentType: ["text/event-stream", "application/x-ndjson"],
  },
  202: {
    description: "Still being pulled; the same request again joins",
    schema: z.object({ image: z.string(), status: z.literal("pulling"), ...clusterFields }),
  },
};

export const imageRemoveAnswers: Answers = {
  200: {
    description: "Removed",
    schema: z.object({
      image: z.string(),
      removed: z.literal(true),
      untagged: z.array(z.string()).describe("names that it lost"),
      deleted: z.array(z.string()).describe("ids of what is gone"),
      ...clusterFields,
    }),
  },
};
