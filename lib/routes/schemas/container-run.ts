import { z } from "zod";
import type { Plan } from "../../cluster/routing/where";
import { type ContainerSummary, MANAGED_LABEL } from "../../docker/containers/container-list";
import { PORT_LABEL } from "../../docker/containers/published-port";
import type { ReadinessCheck } from "../../docker/containers/readiness";
import type { RunSpec } from "../../docker/create/run-spec";
import { AppError, invalidField } from "../../errors";
import { flag, integer, matching, number } from "../../http/fields";
import { readInput } from "../../http/input";
import { imageReference, newContainerName, optional } from "./common";
import { toContainerRunView } from "./container-view";
import { planRootRun, rootRunBody, toRunSpec } from "./root-run";
import * as fields from "./run-fields";

const NAME_LABEL = "dockapi.name";

/** A flag that may be null or absent, with a default. */
const flagOrNull = (schema: typeof flag, value: boolean) => schema.nullish().transform((given) => given ?? value);

/** The body of `POST /containers/run` (docs/containers.md, "Run and publish a port"). */
export const containerRunBody = z.object({
  image: imageReference.describe("The image to run"),
  container_port: integer(1, 65_535).describe("The TCP port that it serves"),
  host_port: optional(integer(0, 65_535)).describe("Port of the node's loopback; 0 or absent for a free one"),
  name: optional(newContainerName).describe("The container's name; a UUID if absent"),
  env: optional(fields.environment),
  command: optional(fields.command),
  auto_remove: flagOrNull(fields.autoRemove, false),
  detach: flagOrNull(flag, true).describe("Answer as soon as it is started; else when it has ended"),
  restart_policy: optional(fields.restartPolicy),
  volumes: optional(fields.mountList).describe("Each source:target, such as C:/host/data:/data:ro"),
  network: optional(fields.network),
  wait_ready: flagOrNull(flag, false).describe("Answer when health_path does, with 2xx"),
  health_path: optional(matching(/^\/[\x21-\x22\x24-\x7e]{0,2047}$/, "must be a path, such as /healthz")),
  wait_timeout: optional(number(0.1, 600)).describe("Seconds; 30 if absent"),
});

type ContainerRun = z.output<typeof containerRunBody>;

const DEFAULT_READY_TIMEOUT_S = 30;

/** Translates the body into the body of `PUT /` for the same container. */
function toRootRunBody(body: ContainerRun): z.input<typeof rootRunBody> {
  const { image, container_port, host_port = 0, detach, name, env, command, auto_remove, restart_policy, volumes, network } = body;
  const given = { detach, name, env, command, auto_remove, restart_policy, volumes, network };
  return {
    image,
    ports: { [`127.0.0.1:${host_port === 0 ? "" : host_port}`]: `${container_port}/tcp` },
    ...Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)),
  };
}

/**
 * Derives the placement plan of a run and fixes its name.
 * @param body a valid `containerRunBody`, unparsed
 * @param key the request's Idempotency-Key: the same key gives the same name
 */
export function planContainerRun(body: object, key: string | undefined): Plan {
  const run = readInput(containerRunBody, body);
  const { name, givenName, needs } = planRootRun(toRootRunBody(run), key);
  const responseFields = (container: object) => toContainerRunView(container as ContainerSummary);
  const extraWaitMs = toReadiness(run)?.timeoutMs ?? 0;
  return { name, givenName, body: { ...body, name }, needs, extraWaitMs, responseFields, mapRefusal: toBadRequest };
}

/** Turns a missing image and a taken port into the 400 that docs/containers.md documents; leaves other errors as they are. */
export function toBadRequest(error: AppError): AppError {
  const { code, message, details, cause } = error;
  return code === "IMAGE_NOT_FOUND" || code === "PORT_TAKEN" ? new AppError("INVALID_INPUT", { code, message, details, cause }) : error;
}

/** The readiness check that a request asks for; undefined if none. */
export function toReadiness(body: ContainerRun): ReadinessCheck | undefined {
  const { wait_ready, health_path, wait_timeout = DEFAULT_READY_TIMEOUT_S, container_port, detach } = body;
  if (!wait_ready || health_path === undefined) return undefined;
  if (!detach) throw invalidField("wait_ready", "can't be had with detach: false, which waits for the end");
  return { path: health_path, port: container_port, timeoutMs: wait_timeout * 1000 };
}

/**
 * Converts a request into the spec of the container.
 * @param key the request's Idempotency-Key, kept in a label
 * @returns the spec, and warnings about options that have no effect
 */
export function toContainerRunSpec(body: ContainerRun, key: string | undefined): { spec: RunSpec; warnings: string[] } {
  const { spec, warnings } = toRunSpec(readInput(rootRunBody, toRootRunBody(body)), key);
  const unused = (["health_path", "wait_timeout"] as const).filter((field) => !body.wait_ready && body[field] !== undefined);
  const labels = { [MANAGED_LABEL]: "true", [NAME_LABEL]: spec.name, [PORT_LABEL]: String(body.container_port) };
  return {
    spec: { ...spec, labels: { ...spec.labels, ...labels } },
    warnings: [
      ...warnings,
      ...(body.wait_ready && body.health_path === undefined ? ["wait_ready needs a health_path to ask: nothing was waited for"] : []),
      ...unused.map((field) => `${field} has an effect only with wait_ready: true: nothing was waited for`),
    ],
  };
}
