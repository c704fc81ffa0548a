import { z } from "zod";
import type { Plan } from "../../cluster/routing/where";
import { type ContainerSummary, MANAGED_LABEL } from "../../docker/containers/container-list";
import { PORT_LABEL } from "../../docker/containers/published-port";
import type { Readiness } from "../../docker/containers/readiness";
import type { RunSpec } from "../../docker/create/run-spec";
import { AppError, invalidField } from "../../errors";
import { command, flag, integer, list, matching, number } from "../../http/fields";
import { environment, imageReference, newName, optional } from "./common";
import { documentedView } from "./containers";
import { planRun, restartPolicy, runBody, network as runNetwork, source, target, toRunSpec } from "./run";

const NAME_LABEL = "dockapi.name";

const off = (schema: typeof flag, value: boolean) => schema.nullish().transform((given) => given ?? value);

/** source:target[:options]; the source may begin with a drive of Windows, whose colon is none of these. */
const MOUNT = /^([A-Za-z]:[\\/][^:]*|[^:]+):(.+)$/s;

const mount = matching(MOUNT, "must be source:target, which :ro may follow").superRefine((text, context) => {
  const parts = partsOf(text);
  for (const { error } of [source.safeParse(parts.source), target.safeParse(parts.target)]) {
    if (error) context.addIssue({ code: "custom", message: error.issues[0]?.message ?? "is not valid" });
  }
});

function partsOf(text: string): { source: string; target: string } {
  const [, from = "", to = ""] = MOUNT.exec(text) ?? [];
  return { source: unixPath(from), target: to };
}

/** C:/host/data is /c/host/data to an engine, which runs on Linux: so Docker Desktop and Compose take it, too. */
function unixPath(source: string): string {
  const [, drive, rest = ""] = /^([A-Za-z]):[\\/](.*)$/s.exec(source) ?? [];
  return drive === undefined ? source : `/${drive.toLowerCase()}/${rest.replaceAll("\\", "/")}`;
}

/** The body of `POST /containers/run` (dockapi.md). */
export const serviceBody = z.object({
  image: imageReference.describe("The image to run"),
  container_port: integer(1, 65_535).describe("The TCP port that it serves"),
  host_port: optional(integer(0, 65_535)).describe("Port of the node's loopback; 0 or absent for a free one"),
  name: optional(newName).describe("The container's name; a UUID if absent"),
  env: optional(environment).describe("Environment variables"),
  command: optional(command).describe("A list, or a text that is split into words as a shell would"),
  auto_remove: off(flag, false).describe("Remove the container when it ends"),
  detach: off(flag, true).describe("Answer as soon as it is started; else when it has ended"),
  restart_policy: optional(restartPolicy),
  volumes: optional(list(mount)).describe("Each source:target, such as C:/host/data:/data:ro"),
  network: optional(runNetwork),
  wait_ready: off(flag, false).describe("Answer when health_path does, with 2xx"),
  health_path: optional(matching(/^\/[\x21-\x22\x24-\x7e]{0,2047}$/, "must be a path, such as /healthz")),
  wait_timeout: optional(number(0.1, 600)).describe("Seconds; 30 if absent"),
});

type Service = z.output<typeof serviceBody>;

const WAIT = 30;

/** The same container as the body of `PUT /` describes it. */
function asRun(body: Service): z.input<typeof runBody> {
  const { image, container_port, host_port = 0, name, env, command: data, auto_remove, restart_policy, network } = body;
  return {
    image,
    ports: { [`127.0.0.1:${host_port === 0 ? "" : host_port}`]: `${container_port}/tcp` },
    volumes: volumesOf(body),
    remove: auto_remove,
    ...(name === undefined ? {} : { name }),
    ...(env === undefined ? {} : { env }),
    ...(data === undefined ? {} : { data }),
    ...(restart_policy === undefined ? {} : { restart: restart_policy }),
    ...(network === undefined ? {} : { network }),
  };
}

function volumesOf({ volumes = [] }: Service): Record<string, string> {
  const mounts = volumes.map(partsOf);
  const seen = new Set<string>();
  const twice = mounts.findIndex((each) => seen.size === seen.add(each.source).size);
  if (twice >= 0) throw invalidField(`volumes.${twice}`, "has a source that is mounted already");
  return Object.fromEntries(mounts.map((each) => [each.source, each.target]));
}

/**
 * Reads out of a body what placement must know, and fixes its name.
 * @param body as it came, and valid
 */
export function planService(body: object, key: string | undefined): Plan {
  const service = serviceBody.parse(body);
  const { name, needs } = planRun(asRun(service), key);
  const responseFields = (container: object) => documentedView(container as ContainerSummary);
  return { name, body: { ...body, name }, needs, longer: readinessOf(service)?.timeout ?? 0, responseFields, mapRefusal: asBadRequest };
}

/** By this route's document what a request asks for and can't be had is a bad request. */
export function asBadRequest(error: AppError): AppError {
  const { code, message, details, cause } = error;
  return code === "IMAGE_NOT_FOUND" || code === "PORT_TAKEN" ? new AppError("INVALID_INPUT", { code, message, details, cause }) : error;
}

/** What is to be waited for, if anything is. */
export function readinessOf(body: Service): Readiness | undefined {
  const { wait_ready, health_path, wait_timeout = WAIT, container_port, detach } = body;
  if (!wait_ready || health_path === undefined) return undefined;
  if (!detach) throw invalidField("wait_ready", "can't be had with detach: false, which waits for the end");
  return { path: health_path, port: container_port, timeout: wait_timeout * 1000 };
}

/**
 * Makes the container to be created out of a request.
 * @param key the request's Idempotency-Key
 * @returns it, and what of the request can't be honoured
 */
export function toServiceSpec(body: Service, key: string | undefined): { spec: RunSpec; warnings: string[] } {
  const { spec } = toRunSpec(runBody.parse(asRun(body)), key);
  const labels = { [MANAGED_LABEL]: "true", [NAME_LABEL]: spec.name, [PORT_LABEL]: String(body.container_port) };
  const bothEnds = spec.remove && spec.restart !== undefined && spec.restart !== "no";
  return {
    spec: { ...spec, labels: { ...spec.labels, ...labels } },
    warnings: [
      ...(bothEnds ? ["auto_remove and restart_policy exclude each other: the container is removed when it ends and not restarted"] : []),
      ...(body.wait_ready && body.health_path === undefined ? ["wait_ready needs a health_path to ask: nothing was waited for"] : []),
    ],
  };
}
