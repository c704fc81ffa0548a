import path from "node:path";
import { z } from "zod";
import type { Plan } from "../../cluster/routing/where";
import { hashKey, KEY_LABEL } from "../../cluster/scheduling/idempotency";
import { flag, list, matching, scalar } from "../../http/fields";
import { readInput } from "../../http/input";
import { CUID_PATTERN, newCuid } from "../../managed/cuid";
import type { RequestedSpec } from "../../managed/managed-containers";
import type { PortMapping, ResourceLimits } from "../../managed/managed-spec";
import { imageReference, newContainerName, optional } from "./common";
import { planRootRun } from "./root-run";
import * as fields from "./run-fields";

const tags = list(matching(/^[^\x00-\x1f\x7f-\x9f,]{1,128}$/u, "must be a list of tags of up to 128 characters, without commas"));
const limits = { cpus: fields.cpus, memory: fields.memory, pids: fields.pids };
const cuid = matching(/^c[0-9a-z]{24}$/, "must be a c and 24 lower-case letters or digits");

/** Mounts beside the app's own folder. */
const volumes = fields.volumes.refine(
  (mounts) => Object.values(mounts).every((target) => !/^\/+app\/*(?::|$)/.test(path.posix.normalize(target))),
  {
    error: "must not mount anything at /app, which is the container's own volume",
  },
);

const alias = newContainerName.refine((name) => !CUID_PATTERN.test(name) && !/^[0-9a-f]{12,}$/.test(name), {
  error: "must not look like an id",
});

/** Fields that a creation and a change take alike. */
const options = {
  name: alias.nullish().describe("Another name for it, which works wherever its cuid does"),
  restart_policy: fields.restartPolicy.nullish().describe("no if absent; unless-stopped for what is to run again after a reboot"),
  healthcheck: fields.healthcheck.nullish(),
  volumes: volumes.nullish().describe("Host path or volume to container path, beside the container's own /app"),
  network: fields.network.nullish().describe("bridge if absent"),
  init: flag.nullish().describe("Run an init process that reaps zombies"),
  stop_timeout: fields.stopTimeout.nullish(),
};
const OPTION_NAMES = Object.keys(options) as (keyof typeof options)[];

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
  ...options,
  cuid: optional(cuid).describe("Made up if absent"),
});

const ports = fields.portList.describe("Instead of those there are");
const { cmd, interval, timeout, start_period, retries, disable } = fields.healthcheckFields;

/** The body of `PATCH /containers/{id}`. */
export const changeBody = z.object({
  env: optional(fields.variables(scalar.nullable())).describe("Variables to set; null removes one"),
  tags: optional(tags).describe("Instead of those there are"),
  resources: optional(
    z.object({ cpus: limits.cpus.nullish(), memory: limits.memory.nullish(), pids: limits.pids.nullish() }).strict(),
  ).describe("Limits to set; null removes one"),
  image: optional(imageReference),
  ports: optional(ports),
  ...options,
  healthcheck: z
    .object({
      cmd: cmd.nullish(),
      interval: interval.nullish(),
      timeout: timeout.nullish(),
      start_period: start_period.nullish(),
      retries: retries.nullish(),
      disable: disable.nullish(),
    })
    .strict()
    .nullish()
    .describe("Fields to set; null removes one, or the whole"),
});

/** The body of `PATCH /containers/{id}/ports`. */
export const portsBody = z.object({ ports });

type CreateBody = z.output<typeof createBody>;

/**
 * Derives the placement plan of a container and fixes its cuid.
 * @param body a valid `createBody`, unparsed
 * @param key the request's Idempotency-Key: the same key gives the same cuid
 */
export function planManagedContainer(body: object, key: string | undefined): Plan {
  const { image, ports: published = [], resources, cuid: given, name: alias, volumes: mounts, network } = readInput(createBody, body);
  const name = given ?? newCuid(key);
  const { needs } = planRootRun(
    { image, memory: resources?.memory, cpus: resources?.cpus, volumes: mounts ?? {}, ...(network && { network }) },
    key,
  );
  const hostPorts = published.flatMap(({ host, protocol }) => (host ? [`${host}/${protocol}`] : []));
  return {
    name,
    givenName: alias ?? given,
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
    ...changedOptions({}, body),
  };
}

/** Converts the body of a change into a function that edits a spec. */
export function toSpecChange(body: z.output<typeof changeBody>): (spec: RequestedSpec) => RequestedSpec {
  const { env = {}, tags: given, resources = {}, image, ports: published, healthcheck } = body;
  return (spec) => ({
    ...changedOptions(spec, { ...body, healthcheck: healthcheck && withoutNulls({ ...spec.healthcheck, ...healthcheck }) }),
    env: withoutNulls({ ...spec.env, ...env }),
    tags: given ?? spec.tags,
    resources: limited({ ...spec.resources, ...resources }),
    image: image ?? spec.image,
    ports: published === undefined ? spec.ports : toPortMappings(published),
  });
}

export function toPortMappings(given: z.output<typeof fields.portList>): PortMapping[] {
  return given.map(({ host, container, protocol }) => ({ host: host || null, container, protocol }));
}

type Options = Pick<RequestedSpec, keyof typeof options>;

/** The options that a body gives replace those of the spec; null removes one. */
function changedOptions<T extends Options>(spec: T, body: Nullable<Options>): T {
  const given = OPTION_NAMES.filter((name) => body[name] !== undefined).map((name) => [name, body[name]] as const);
  return withoutNulls({ ...spec, ...Object.fromEntries(given) }) as T;
}

type Nullable<T> = { [Key in keyof T]?: T[Key] | null | undefined };

const limited = (resources: Nullable<ResourceLimits>): ResourceLimits => withoutNulls(resources);

function withoutNulls<T extends object>(fields: Nullable<T>): T {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== null && value !== undefined)) as T;
}
