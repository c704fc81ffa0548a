import { z } from "zod";
import type { Plan } from "../../cluster/routing/where";
import { type ContainerSummary, MANAGED_LABEL } from "../../docker/containers/container-list";
import { PORT_LABEL } from "../../docker/containers/published-port";
import type { ReadinessCheck } from "../../docker/containers/readiness";
import type { RunSpec } from "../../docker/create/run-spec";
import { AppError, invalidField } from "../../errors";
import { command, flag, integer, list, matching, number } from "../../http/fields";
import { environment, imageReference, newContainerName, optional } from "./common";
import { toContainerRunView } from "./container-view";
import { mountSource, mountTarget, planRootRun, restartPolicy, rootRunBody, networkName as runNetwork, toRunSpec } from "./root-run";

const NAME_LABEL = "dockapi.name";

/** A flag that may be null or absent, with a default. */
const flagOrNull = (schema: typeof flag, value: boolean) => schema.nullish().transform((given) => given ?? value);

/** source:target[:options]; the source may begin with a Windows drive letter and its colon. */
const MOUNT_PATTERN = /^([A-Za-z]:[\\/][^:]*|[^:]+):(.+)$/s;

const mount = matching(MOUNT_PATTERN, "must be source:target, which :ro may follow").superRefine((text, context) => {
  const parts = splitMount(text);
  for (const { error } of [mountSource.safeParse(parts.source), mountTarget.safeParse(parts.target)]) {
    if (error) context.addIssue({ code: "custom", message: error.issues[0]?.message ?? "is not valid" });
  }
});

function splitMount(text: string): { source: string; target: string } {
  const [, from = "", to = ""] = MOUNT_PATTERN.exec(text) ?? [];
  return { source: toUnixPath(from), target: to };
}

/** Converts C:/host/data to /c/host/data, as Docker Desktop and Compose do for engines, which run on Linux. */
function toUnixPath(source: string): string {
  const [, drive, rest = ""] = /^([A-Za-z]):[\\/](.*)$/s.exec(source) ?? [];
  return drive === undefined ? source : `/${drive.toLowerCase()}/${rest.replaceAll("\\", "/")}`;
}

/** The body of `POST /containers/run` (docs/containers.md, "Run and publish a port"). */
export const containerRunBody = z.object({
  image: imageReference.describe("The image to run"),
  container_port: integer(1, 65_535).describe("The TCP port that it serves"),
  host_port: optional(integer(0, 65_535)).describe("Port of the node's loopback; 0 or absent for a free one"),
  name: optional(newContainerName).describe("The container's name; a UUID if absent"),
  env: optional(environment).describe("Environment variables"),
  command: optional(command).describe("A list, or a text that is split into words as a shell would"),
  auto_remove: flagOrNull(flag, false).describe("Remove the container when it ends"),
  detach: flagOrNull(flag, true).describe("Answer as soon as it is started; else when it has ended"),
  restart_policy: optional(restartPolicy),
  volumes: optional(list(mount)).describe("Each source:target, such as C:/host/data:/data:ro"),
  network: optional(runNetwork),
  wait_ready: flagOrNull(flag, false).describe("Answer when health_path does, with 2xx"),
  health_path: optional(matching(/^\/[\x21-\x22\x24-\x7e]{0,2047}$/, "must be a path, such as /healthz")),
  wait_timeout: optional(number(0.1, 600)).describe("Seconds; 30 if absent"),
});

type ContainerRun = z.output<typeof containerRunBody>;

const DEFAULT_READY_TIMEOUT_S = 30;

/** Translates the body into the body of `PUT /` for the same container. */
function toRootRunBody(body: ContainerRun): z.input<typeof rootRunBody> {
  const { image, container_port, host_port = 0, name, env, command: data, auto_remove, restart_policy, network } = body;
  return {
    image,
    ports: { [`127.0.0.1:${host_port === 0 ? "" : host_port}`]: `${container_port}/tcp` },
    volumes: toVolumeMap(body),
    remove: auto_remove,
    ...(name === undefined ? {} : { name }),
    ...(env === undefined ? {} : { env }),
    ...(data === undefined ? {} : { data }),
    ...(restart_policy === undefined ? {} : { restart: restart_policy }),
    ...(network === undefined ? {} : { network }),
  };
}

function toVolumeMap({ volumes = [] }: ContainerRun): Record<string, string> {
  const mounts = volumes.map(splitMount);
  const seen = new Set<string>();
  const duplicateIndex = mounts.findIndex((each) => seen.size === seen.add(each.source).size);
  if (duplicateIndex >= 0) throw invalidField(`volumes.${duplicateIndex}`, "has a source that is mounted already");
  return Object.fromEntries(mounts.map((each) => [each.source, each.target]));
}

/**
 * Derives the placement plan of a run and fixes its name.
 * @param body a valid `containerRunBody`, unparsed
 * @param key the request's Idempotency-Key: the same key gives the same name
 */
export function planContainerRun(body: object, key: string | undefined): Plan {
  const run = containerRunBody.parse(body);
  const { name, needs } = planRootRun(toRootRunBody(run), key);
  const responseFields = (container: object) => toContainerRunView(container as ContainerSummary);
  return { name, body: { ...body, name }, needs, extraWaitMs: toReadiness(run)?.timeoutMs ?? 0, responseFields, mapRefusal: toBadRequest };
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
  const { spec } = toRunSpec(rootRunBody.parse(toRootRunBody(body)), key);
  const labels = { [MANAGED_LABEL]: "true", [NAME_LABEL]: spec.name, [PORT_LABEL]: String(body.container_port) };
  const conflicting = spec.remove && spec.restart !== undefined && spec.restart !== "no";
  return {
    spec: { ...spec, labels: { ...spec.labels, ...labels } },
    warnings: [
      ...(conflicting
        ? ["auto_remove and restart_policy exclude each other: the container is removed when it ends and not restarted"]
        : []),
      ...(body.wait_ready && body.health_path === undefined ? ["wait_ready needs a health_path to ask: nothing was waited for"] : []),
    ],
  };
}
