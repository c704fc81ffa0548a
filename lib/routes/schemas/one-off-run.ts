import { z } from "zod";
import type { Plan } from "../../cluster/routing/where";
import { command, flag, integer, map, matching, number } from "../../http/fields";
import { readInput } from "../../http/input";
import { toBytes } from "../../support/byte-sizes";
import { imageReference, optional, outputSchema, platform, type Responses, registryLogin, volumeName } from "./common";
import * as fields from "./run-fields";

const mountPath = matching(/^\/[^:\0]{0,4095}(?::r[ow])?$/, "must be an absolute path in the container, which :ro may follow").refine(
  (path) => !path.split("/").includes(".."),
  { error: "must not lead upwards" },
);
const content = z.string({ error: "must be base64" });
const mode = matching(/^[0-7]{3,4}$/, "must be octal digits as text, such as 0755");
const response = flag.default(false).describe("Give its content back");

const memoryError = "must be a size of at least 6m, such as 512m or a number of bytes";
const memory = fields.memory
  .transform((size) => Math.round(toBytes(size)))
  .pipe(
    z
      .number()
      .min(6_291_456, { error: memoryError })
      .max(2 ** 50, { error: memoryError }),
  );

const volumeEntry = z.discriminatedUnion(
  "type",
  [
    z
      .object({
        type: z.literal("file"),
        content: content.default("").describe("base64; an empty file if absent"),
        mode: optional(mode),
        response,
      })
      .strict(),
    z
      .object({
        type: z.literal("directory"),
        content: content.default("").describe("base64 of a gzipped tar; an empty folder if absent"),
        mode: optional(mode),
        response,
      })
      .strict(),
    z.object({ type: z.literal("volume"), name: volumeName, response }).strict(),
    z
      .object({
        type: z.literal("host"),
        host_path: matching(/^\/[^\0]{0,4095}$/, "must be an absolute path on the host").describe("Folder or file of the node"),
        response,
      })
      .strict(),
  ],
  { error: "must have the type file, directory, volume or host" },
);

const payload = z
  .custom<object>((value) => typeof value === "object" && value !== null && !Array.isArray(value), { error: "must be a JSON object" })
  .meta({ type: "object", additionalProperties: true, description: "Makes it a code run: what its program reads" });

/** The only fields that a code run may have. */
const CODE_RUN_FIELDS = new Set(["image", "payload"]);

/** The body of `POST /run`: a one-off (docs/runs.md, "One-off runs"), or with a payload a code run (docs/runs.md, "Code runs"). */
export const oneOffRunBody = z
  .object({
    image: imageReference.describe("The image to run"),
    command: optional(fields.command),
    entrypoint: optional(command).describe("As command"),
    env: optional(fields.environment),
    payload: optional(payload),
    pull_policy: fields.pullPolicy.optional().describe("always if absent"),
    auth_config: optional(registryLogin).describe("Login at the image's registry"),
    platform: optional(platform),
    volumes: optional(fields.volumeEntries(map(mountPath, volumeEntry))).describe(
      "What is to be at a path in the container, which :ro may follow",
    ),
    stdin: optional(z.string({ error: "must be text" })).describe("What it reads"),
    memory: optional(memory).describe("A size such as 512m, or bytes; run_memory if absent"),
    cpus: optional(number(0.01, 10_000)),
    pids: optional(integer(1, 4_194_304)).describe("Processes; run_pids if absent"),
  })
  .superRefine((body, context) => {
    if (body.payload === undefined) return;
    const other = Object.entries(body).find(([name, value]) => value !== undefined && !CODE_RUN_FIELDS.has(name));
    if (other) context.addIssue({ code: "custom", path: [other[0]], message: "can't be had with a payload" });
  });

/**
 * Derives the placement plan of a run.
 * @param body a valid `oneOffRunBody`, unparsed
 */
export function planOneOffRun(body: object): Plan {
  const { image, payload, pull_policy, volumes = {}, memory = 0, cpus = 0 } = readInput(oneOffRunBody, body);
  const pull = pull_policy ?? (payload ? "missing" : "always");
  const namedVolumes = Object.values(volumes).flatMap((each) => (each.type === "volume" ? [each.name] : []));
  // A one-off run has no name of its own: messages call it "the run".
  return { name: "the run", body, needs: { image, pull, ports: [], volumes: namedVolumes, memory, cpus, slot: true } };
}

const oneOffResult = z.object({
  status: z.string().describe("success, or `error: ` and the exit code or the limit that ended it, such as limits.execution_time"),
  ...outputSchema,
  exit_code: z.number(),
  volumes: z.record(z.string(), z.object({ type: z.string(), content: z.string().nullable() })).describe("What was asked back, by path"),
  execution_time: z.number().describe("Seconds"),
  host: z.string().describe("the node"),
  warnings: z.array(z.string()).optional(),
});

export const oneOffRunResponses: Responses = {
  200: {
    description:
      "It has run; as text/event-stream or application/x-ndjson: its output as it comes, then this as the event `result`. Of a code run: the object that its program wrote",
    schema: z.union([oneOffResult, z.record(z.string(), z.unknown()).describe("Of a code run")]),
    contentType: ["text/event-stream", "application/x-ndjson"],
    headers: { "X-Run-Sandbox": "Of a code run: warm or cold, and its limits as parameters" },
  },
  202: {
    description: "Its image is still being pulled; the same request again joins",
    schema: z.object({ status: z.literal("pulling"), image: z.string(), host: z.string() }),
  },
};
