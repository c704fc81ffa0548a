import { randomUUID } from "node:crypto";
import { z } from "zod";
import type { Plan } from "../../cluster/routing/where";
import { hashKey, KEY_LABEL } from "../../cluster/scheduling/idempotency";
import { type RunSpec, toBytes } from "../../docker/create/run-spec";
import { command, flag, integer, list, map, matching, number, scalar, text } from "../../http/fields";
import { environment, imageReference, labelKey, newContainerName, notOfRun } from "./common";

const PORT = String.raw`\d{1,5}(?:-\d{1,5})?`;
const ADDRESS = String.raw`(?:\d{1,3}(?:\.\d{1,3}){3}|\[[0-9a-fA-F:]+\])`;
const MOUNT_OPTIONS = "(?:ro|rw|z|Z|nocopy|(?:r)?(?:shared|slave|private)|consistent|cached|delegated)";

const hostPort = matching(new RegExp(`^(?:${ADDRESS}:)?(?:${PORT})?$`), "must be a host port, or address:port; 0 for any");
const containerPort = scalar.pipe(
  matching(new RegExp(`^${PORT}(?:/(?:tcp|udp|sctp))?$`), "must be a container port, such as 6379 or 53/udp"),
);
export const mountSource = matching(
  /^(?:\/[^:\0]{0,4095}|[a-zA-Z0-9][a-zA-Z0-9_.-]{1,254})$/,
  "must be an absolute path on the host or the name of a volume",
).refine(...notOfRun);
export const mountTarget = matching(
  new RegExp(`^/[^:\\0]{0,4095}(?::${MOUNT_OPTIONS}(?:,${MOUNT_OPTIONS})*)?$`),
  "must be an absolute path in the container, which :ro may follow",
);
const containerPath = matching(/^\/[^:\0]{0,4095}$/, "must be an absolute path in the container");
export const memorySize = scalar.pipe(matching(/^\d+(?:\.\d+)?[bkmgBKMG]?$/, "must be a size, such as 512m or a number of bytes"));
const duration = matching(/^(?:\d+(?:\.\d+)?(?:ns|us|ms|s|m|h))+$/, "must be a duration, such as 30s or 1m30s");
const capability = matching(/^[A-Za-z_]+$/, "must be the name of a capability");
export const networkName = matching(/^(?:container:)?[a-zA-Z0-9][a-zA-Z0-9_.-]{0,254}$/, "must be the name of a network");
export const restartPolicy = matching(
  /^(?:no|always|unless-stopped|on-failure(?::\d{1,9})?)$/,
  "must be no, always, unless-stopped or on-failure[:times]",
);
const namespace = matching(
  /^(?:host|private|shareable|none|container:[a-zA-Z0-9][a-zA-Z0-9_.-]{0,254})$/,
  "must be host, private or container:NAME",
);
const singleLine = matching(/^[^\0\r\n]{1,4096}$/, "must be one line of text");

/** The body of `PUT /` (docs/root-verbs.md, "Run a container"). */
export const rootRunBody = z.object({
  image: imageReference.describe("The image to run"),
  name: newContainerName.optional().describe("The container's name; a UUID if absent"),
  remove: flag.default(false).describe("Remove the container when it ends"),
  detach: flag.default(false).describe("Answer as soon as it is started"),
  ports: map(hostPort, containerPort).default({}).describe("Host port to container port"),
  volumes: map(mountSource, mountTarget).default({}).describe("Host path or volume to container path"),
  data: command.optional().describe("The command: a list, or a text that is split into words as a shell would"),
  env: environment.default({}).describe("Environment variables"),
  labels: map(labelKey, scalar).default({}),
  network: networkName.optional(),
  restart: restartPolicy.optional(),
  memory: memorySize.optional(),
  cpus: number(0.01, 10_000).optional(),
  pids: integer(-1, 4_194_304).optional(),
  user: singleLine.optional(),
  workdir: containerPath.optional(),
  entrypoint: command.optional(),
  hostname: matching(/^[a-zA-Z0-9](?:[a-zA-Z0-9.-]{0,61}[a-zA-Z0-9])?$/, "must be a host name").optional(),
  platform: matching(/^[a-z0-9]+(?:\/[a-z0-9]+){0,2}$/, "must be a platform, such as linux/arm64").optional(),
  pull: z.enum(["missing", "always", "never"], { error: "must be missing, always or never" }).default("missing"),
  init: flag.default(false),
  tmpfs: map(containerPath, matching(/^[\w=,%.]*$/, "must be mount options, such as size=64m")).default({}),
  read_only: flag.default(false),
  cap_add: list(capability).default([]),
  cap_drop: list(capability).default([]),
  ulimits: map(
    matching(/^[a-z]+$/, "must be the name of a limit"),
    scalar.pipe(matching(/^-?\d{1,18}(?::-?\d{1,18})?$/, "must be soft:hard or one number")),
  ).default({}),
  healthcheck: z
    .object({
      cmd: text.optional(),
      interval: duration.optional(),
      timeout: duration.optional(),
      start_period: duration.optional(),
      retries: integer(0, 1_000_000).optional(),
      disable: flag.optional(),
    })
    .strict()
    .optional(),
  privileged: flag.default(false),
  devices: list(matching(/^\/[^\0\s]*$/, "must be a device, such as /dev/fuse")).default([]),
  pid: namespace.optional(),
  ipc: namespace.optional(),
  uts: namespace.optional(),
  userns: namespace.optional(),
});

/**
 * Derives the placement plan of a run and fixes its name.
 * @param body a valid `rootRunBody`, unparsed
 * @param key the request's Idempotency-Key: the same key gives the same name
 */
export function planRootRun(body: object, key: string | undefined): Plan {
  const { name: given, image, pull, ports, volumes, memory = "0", cpus = 0 } = rootRunBody.parse(body);
  const name = given ?? (key === undefined ? randomUUID() : `key-${hashKey(key)}`);
  const published = Object.entries(ports).flatMap(([host, container]) => {
    const [address = "", number = ""] = host.includes(":") ? host.split(/:(?=[^:]*$)/) : ["", host];
    return number === "" || number === "0" ? [] : [{ address, port: `${number}/${container.split("/")[1] ?? "tcp"}` }];
  });
  const needs = {
    image,
    pull,
    ports: published.map(({ port }) => port),
    bindings: published.map(({ address, port }) => `${address}:${port}`),
    volumes: Object.keys(volumes).filter((source) => !source.startsWith("/")),
    memory: toBytes(memory),
    cpus,
    slot: false,
  };
  return { name, body: { ...body, name }, needs };
}

/**
 * Converts a request into the spec of the container.
 * @param key the request's Idempotency-Key, kept in a label
 * @returns the spec, and warnings about options that have no effect
 */
export function toRunSpec(body: z.output<typeof rootRunBody>, key: string | undefined): { spec: RunSpec; warnings: string[] } {
  const { detach: _, data, name, ...rest } = body;
  const labels = key === undefined ? rest.labels : { ...rest.labels, [KEY_LABEL]: hashKey(key) };
  const spec: RunSpec = { ...rest, labels, name: name ?? randomUUID(), command: data };
  const conflicting = spec.remove && spec.restart !== undefined && spec.restart !== "no";
  return {
    spec,
    warnings: conflicting ? ["remove and restart exclude each other: the container is removed when it ends and not restarted"] : [],
  };
}
