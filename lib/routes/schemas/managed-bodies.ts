import { z } from "zod";
import type { Plan } from "../../cluster/routing/where";
import { hashKey, KEY_LABEL } from "../../cluster/scheduling/idempotency";
import { list, matching, scalar } from "../../http/fields";
import { readInput } from "../../http/input";
import { newCuid } from "../../managed/cuid";
import type { RequestedSpec } from "../../managed/managed-containers";
import type { PortMapping, ResourceLimits } from "../../managed/managed-spec";
import { imageReference, optional } from "./common";
import { planRootRun } from "./root-run";
import * as fields from "./run-fields";

const tags = list(matching(/^[^\p{Cc},]{1,128}$/u, "must be tags of up to 128 characters, without commas"));
const limits = { cpus: fields.cpus, memory: fields.memory, pids: fields.pids };
const cuid = matching(/^c[0-9a-z]{24}$/, "must be a cuid");

/** The body of `POST /containers` (docs/managed.md, "Create"). */
export const createBody = z.object({
  image: imageReference.describe("The image to run"),
  env: optional(fields.environment).describe("Environment variables; CONTAINER_UID and TAGS are there, too"),
  tags: optional(tags),
  resources: optional(
    z.object({ cpus: optional(limits.cpus), memory: optional(limits.memory), pids: optional(limits.pids) }).strict(),
  ).describe("Limits: cpus, memory such as 4096m, pids"),
  ports: optional(fields.portList),
  command: optional(fields.command).describe("Instead of /app/boot.py, or what the image says: a list, or a text that is split into words"),
  cuid: optional(cuid).describe("Made up if absent"),
});

/** The body of `PATCH /containers/{id}`. */
export const changeBody = z.object({
  env: optional(fields.variables(scalar.nullable())).describe("Variables to set; null removes one"),
  tags: optional(tags).describe("Instead of those there are"),
  resources: optional(
    z.object({ cpus: limits.cpus.nullish(), memory: limits.memory.nullish(), pids: limits.pids.nullish() }).strict(),
  ).describe("Limits to set; null removes one"),
  image: optional(imageReference),
});

/** The body of `PATCH /containers/{id}/ports`. */
export const portsBody = z.object({ ports: fields.portList.describe("Instead of those there are") });

type CreateBody = z.output<typeof createBody>;

/**
 * Derives the placement plan of a container and fixes its cuid.
 * @param body a valid `createBody`, unparsed
 * @param key the request's Idempotency-Key: the same key gives the same cuid
 */
export function planManagedContainer(body: object, key: string | undefined): Plan {
  const { image, ports: published = [], resources, cuid: given } = readInput(createBody, body);
  const name = given ?? newCuid(key);
  const { needs } = planRootRun({ image, memory: resources?.memory, cpus: resources?.cpus }, key);
  const hostPorts = published.flatMap(({ host, protocol }) => (host ? [`${host}/${protocol}`] : []));
  return {
    name,
    body: { ...body, cuid: name },
    needs: { ...needs, ports: hostPorts, bindings: hostPorts.map((port) => `:${port}`), compose: true },
    doneWhenCreated: true,
    responseFields: () => ({ cuid: name }),
  };
}

/** Converts the body of a creation into a spec. */
export function toRequestedSpec(body: CreateBody, key: string | undefined): RequestedSpec {
  const { image, env = {}, tags: given = [], resources = {}, ports: published = [], command: words } = body;
  return {
    image,
    env,
    tags: given,
    resources: limited(resources),
    ports: toPortMappings(published),
    labels: key === undefined ? {} : { [KEY_LABEL]: hashKey(key) },
    ...(words === undefined || words.length === 0 ? {} : { command: words }),
  };
}

/** Converts the body of a change into a function that edits a spec. */
export function toSpecChange(body: z.output<typeof changeBody>): (spec: RequestedSpec) => RequestedSpec {
  const { env = {}, tags: given, resources = {}, image } = body;
  return (spec) => ({
    ...spec,
    env: withoutNulls({ ...spec.env, ...env }),
    tags: given ?? spec.tags,
    resources: limited({ ...spec.resources, ...resources }),
    image: image ?? spec.image,
  });
}

export function toPortMappings(given: z.output<typeof fields.portList>): PortMapping[] {
  return given.map(({ host, container, protocol }) => ({ host: host || null, container, protocol }));
}

type Nullable<T> = { [Key in keyof T]?: T[Key] | null | undefined };

const limited = (resources: Nullable<ResourceLimits>): ResourceLimits => withoutNulls(resources);

function withoutNulls<T extends object>(fields: Nullable<T>): T {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== null && value !== undefined)) as T;
}
