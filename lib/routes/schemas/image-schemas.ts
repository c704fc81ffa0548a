import { z } from "zod";
import { imageReference, optional, platform, type Responses, registryLogin } from "./common";

/** The body of `POST /images/pull` (docs/containers.md, "Images"). */
export const imagePullBody = z.object({
  image: imageReference.describe("The image to pull"),
  auth_config: optional(registryLogin).describe("Login at the image's registry"),
  platform: optional(platform),
});

const host = z.string().describe("the node");
const clusterFields = {
  host: host.optional(),
  nodes: z.array(z.looseObject({ host })).optional().describe("In a cluster: what each node came to"),
  complete: z.boolean().optional(),
  missing: z.array(z.string()).optional(),
};

export const imageListResponses: Responses = {
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

export const imagePullResponses: Responses = {
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

export const imageRemoveResponses: Responses = {
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

export const imagePruneResponses: Responses = {
  200: {
    description: "Removed; of several nodes with whether that is all of them, and who is missing",
    schema: z.object({
      images: z.array(z.object({ id: z.string(), names: z.array(z.string()), size: z.number().describe("bytes"), host })),
      build_cache: z.number().describe("bytes of build cache that were removed"),
      complete: z.boolean().optional(),
      missing: z.array(z.string()).optional(),
    }),
  },
};
