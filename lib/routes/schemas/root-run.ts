import { randomUUID } from "node:crypto";
import { z } from "zod";
import type { Plan } from "../../cluster/routing/where";
import { hashKey, KEY_LABEL } from "../../cluster/scheduling/idempotency";
import type { RunSpec } from "../../docker/create/run-spec";
import { isMadeNetwork, joinedContainer } from "../../docker/engine-networks";
import { command, flag, matching } from "../../http/fields";
import { readInput } from "../../http/input";
import { toBytes } from "../../support/byte-sizes";
import { commandWarnings } from "../../support/warnings";
import { imageReference, newContainerName, platform } from "./common";
import * as fields from "./run-fields";

/** The body of `PUT /` (docs/root-verbs.md, "Run a container"). */
export const rootRunBody = z.object({
  image: imageReference.describe("The image to run"),
  name: newContainerName.optional().describe("The container's name; a UUID if absent"),
  command: fields.command.optional(),
  detach: flag.default(false).describe("Answer as soon as it is started"),
  auto_remove: fields.autoRemove.default(false),
  ports: fields.ports.prefault({}).describe("Host port to container port"),
  volumes: fields.volumes.prefault({}).describe("Host path or volume to container path"),
  env: fields.environment.prefault({}),
  labels: fields.labels.default({}),
  network: fields.network.optional(),
  restart_policy: fields.restartPolicy.optional(),
  memory: fields.memory.optional(),
  cpus: fields.cpus.optional(),
  pids: fields.pids.optional(),
  user: fields.singleLine.optional(),
  workdir: fields.workdir.optional(),
  entrypoint: command.optional(),
  hostname: matching(/^[a-zA-Z0-9](?:[a-zA-Z0-9.-]{0,61}[a-zA-Z0-9])?$/, "must be a host name").optional(),
  platform: platform.optional(),
  pull_policy: fields.pullPolicy.default("missing"),
  init: flag.default(false),
  stop_timeout: fields.stopTimeout.optional(),
  tmpfs: fields.tmpfs.default({}),
  read_only: flag.default(false),
  cap_add: fields.capabilities.default([]),
  cap_drop: fields.capabilities.default([]),
  ulimits: fields.ulimits.default({}),
  healthcheck: fields.healthcheck.optional(),
  privileged: flag.default(false),
  devices: fields.devices.default([]),
  pid: fields.namespace.optional(),
  ipc: fields.namespace.optional(),
  uts: fields.namespace.optional(),
  userns: fields.namespace.optional(),
});

/**
 * Derives the placement plan of a run and fixes its name.
 * @param body a valid `rootRunBody`, unparsed
 * @param key the request's Idempotency-Key: the same key gives the same name
 */
export function planRootRun(body: object, key: string | undefined): Plan {
  const input = readInput(rootRunBody, body);
  const { name: given, image, pull_policy: pull, ports, volumes, network = "", pid, ipc, uts, userns, memory = "0", cpus = 0 } = input;
  const name = given ?? (key === undefined ? randomUUID() : `key-${hashKey(key)}`);
  const published = ports.flatMap(([host, container]) => {
    const [address = "", number = ""] = host.includes(":") ? host.split(/:(?=[^:]*$)/) : ["", host];
    return number === "" || number === "0" ? [] : [{ address, port: `${number}/${container.split("/")[1] ?? "tcp"}` }];
  });
  const needs = {
    image,
    pull,
    ports: published.map(({ port }) => port),
    bindings: published.map(({ address, port }) => `${address}:${port}`),
    volumes: Object.keys(volumes).filter((source) => !source.startsWith("/")),
    networks: isMadeNetwork(network) ? [network] : [],
    containers: [network, pid, ipc, uts, userns].flatMap((mode) => joinedContainer(mode) ?? []),
    memory: toBytes(memory),
    cpus,
    slot: false,
  };
  return { name, givenName: given, body: { ...body, name }, needs };
}

/**
 * Converts a request into the spec of the container.
 * @param key the request's Idempotency-Key, kept in a label
 * @returns the spec, and warnings about options that have no effect
 */
export function toRunSpec(body: z.output<typeof rootRunBody>, key: string | undefined): { spec: RunSpec; warnings: string[] } {
  const { detach, name, auto_remove: remove, restart_policy: restart, pull_policy: pull, ...rest } = body;
  const labels = key === undefined ? rest.labels : { ...rest.labels, [KEY_LABEL]: hashKey(key) };
  const warnings = commandWarnings(rest.command ?? []);
  if (remove && restart !== undefined && restart !== "no")
    warnings.push("auto_remove and restart_policy exclude each other: the container is removed when it ends and not restarted");
  else if (!detach && (restart === "always" || restart === "unless-stopped"))
    warnings.push("without detach the answer comes at the first end, and the restart_policy starts the container again after it");
  return { spec: { ...rest, remove, restart, pull, labels, name: name ?? randomUUID() }, warnings };
}
