import { z } from "zod";
import { RUN_CONTAINER_PREFIX } from "../../docker/create/policy";
import { isImageReference } from "../../docker/images/image-reference";
import { matching, text } from "../../http/fields";
import { isReserved, type ResponseDoc } from "../../http/route";

/** The answers of a route, by status. */
export type Responses = Record<number, ResponseDoc>;

/** Refuses the names of what runs create. */
export const notOfRun = [
  (name: string) => !name.startsWith(RUN_CONTAINER_PREFIX),
  { error: `must not begin with ${RUN_CONTAINER_PREFIX}, as only the names of runs do` },
] as const;

/** The name of a new container. */
export const newContainerName = matching(
  /^[a-zA-Z0-9][a-zA-Z0-9_.-]{1,127}$/,
  "must be letters, digits, _ . -, two or more, beginning with a letter or digit",
)
  .refine((name) => !isReserved(name), { error: "is a word of this API" })
  .refine(...notOfRun);

/** Refers to a container: its name, its id or a prefix of the id. */
export const containerId = matching(/^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,254}$/, "must be the name or id of a container");

/** Path parameters of routes about one container. */
export const containerParams = z.object({ id: containerId.describe("Name or id of the container") });

/** The name of a volume. */
export const volumeName = matching(
  /^[a-zA-Z0-9][a-zA-Z0-9_.-]{1,254}$/,
  "must be letters, digits, _ . -, two or more, beginning with a letter or digit",
).refine(...notOfRun);

export const imageReference = text.refine(isImageReference, {
  error: "must be an image reference, such as redis, host:5000/app:1.2 or app@sha256:…",
});

/** As `docker run` takes it: os, architecture, os/architecture or os/architecture/variant. */
export const platform = matching(/^[a-z0-9][\w-]*(?:\/[\w-]+){0,2}$/i, "must be a platform, such as linux/arm64").describe(
  "such as linux/arm64",
);

/** The key of a label that a client sets. Those of this server it reads itself, to tell what it has made. */
export const labelKey = matching(/^(?!docker-server\.)[^\0\s=]+$/, "must be a label's key, and none of this server's (docker-server.…)");

/** Accepts null as absent: clients generated from FastAPI send null for unset fields. */
export const optional = <T extends z.ZodType>(schema: T) => schema.nullish().transform((value) => value ?? undefined);

/** The body's login at the image's registry. */
export const registryLogin = z
  .object({
    username: text,
    password: text.describe("With the user _json_key: the key, in base64"),
    email: optional(text),
    serveraddress: optional(text).describe("The registry that it is for; it is given to no other"),
  })
  .strict();

/** Fields of captured output in an answer, see `outputFields`. */
export const outputSchema = {
  stdout: z.string(),
  stderr: z.string(),
  stdout_encoding: z.literal("base64").optional().describe("present if stdout isn't UTF-8 and so is base64"),
  stderr_encoding: z.literal("base64").optional(),
  truncated: z.literal(true).optional().describe("present if only the end of the output was kept"),
};

export const ticketResponses: Responses = {
  200: {
    description: "To be used once, in time, through any node",
    schema: z.object({ ticket: z.string(), expires_in: z.number().describe("seconds") }),
  },
};
