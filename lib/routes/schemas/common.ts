import { z } from "zod";
import { isReference } from "../../docker/images/image-reference";
import { map, matching, scalar, text } from "../../http/fields";
import { isReserved } from "../../http/route";

/** The name of a container that may be made. */
export const newContainerName = matching(
  /^[a-zA-Z0-9][a-zA-Z0-9_.-]{1,127}$/,
  "must be letters, digits, _ . -, two or more, beginning with a letter or digit",
).refine((name) => !isReserved(name), { error: "is a word of this API" });

/** A container that is asked for: a name, an id or the beginning of one. */
export const containerId = matching(/^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,254}$/, "must be the name or id of a container");

export const containerParams = z.object({ id: containerId.describe("Name or id of the container") });

export const imageReference = text.refine(isReference, {
  error: "must be an image reference, such as redis, host:5000/app:1.2 or app@sha256:…",
});

export const environment = map(matching(/^[A-Za-z_][A-Za-z0-9_.-]*$/, "must be the name of a variable"), scalar);

/** FastAPI's clients send null for what they don't mean. */
export const optional = <T extends z.ZodType>(schema: T) => schema.nullish().transform((value) => value ?? undefined);

/** A caller's login at an image's registry. */
export const registryLogin = z
  .object({
    username: text,
    password: text.describe("With the user _json_key: the key, in base64"),
    email: optional(text),
    serveraddress: optional(text).describe("The registry that it is for; it is given to no other"),
  })
  .strict();

/** What went to an output stream, in an answer. */
export const outputSchema = {
  stdout: z.string(),
  stderr: z.string(),
  stdout_encoding: z.literal("base64").optional().describe("present if stdout isn't UTF-8 and so is base64"),
  stderr_encoding: z.literal("base64").optional(),
  truncated: z.literal(true).optional().describe("present if only the end of the output was kept"),
};
