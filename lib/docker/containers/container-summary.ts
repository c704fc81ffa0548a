import type { ContainerInfo, ContainerInspectInfo } from "dockerode";
import { CUID_LABEL } from "./replaced-name";

export interface PortSummary {
  host_ip?: string;
  host?: number;
  container: number;
  protocol: string;
}

/** A container as `GET /` answers it. */
export interface ContainerSummary {
  /** 64 hex digits */
  id: string;
  name: string;
  image: string;
  command: string;
  /** ISO 8601 */
  created: string;
  /** created, running, paused, restarting, removing, exited or dead */
  state: string;
  /** Docker's own text, such as "Up 3 minutes" */
  status: string;
  ports: PortSummary[];
  labels: Record<string, string>;
  /** name of its node */
  host: string;
}

/** The states of a container that has not ended, or is being removed. */
export const ACTIVE_STATES: readonly string[] = ["running", "removing"];

/** A second name by which a managed container is found, whose own name is its cuid. */
export const ALIAS_LABEL = "docker-server.alias";

/** Whether a container is a managed one that has this alias: an image may pass its labels on to others. */
export function hasAlias({ name, labels }: ContainerSummary, alias: string): boolean {
  return labels[ALIAS_LABEL] === alias && labels[CUID_LABEL] === name;
}

/** Beside the summaries, which are answered as they are. */
const imageIds = new WeakMap<ContainerSummary, string>();

/** The id of the image that a listed container was made of. */
export function imageIdOf(container: ContainerSummary): string {
  return imageIds.get(container) ?? "";
}

/** States that only Podman's list has, for less than a second or while a stop waits, and what Docker says then. */
const PODMAN_STATES: Record<string, string> = { stopped: "exited", stopping: "running" };

const NOT_PUBLISHING: ReadonlySet<string> = new Set(["created", "exited", "dead"]);

/** A container of the engine's list. @param host name of its node */
export function toSummary(info: ContainerInfo, host: string): ContainerSummary {
  const names = (info.Names ?? []).map((name) => name.replace(/^\//, ""));
  const state = PODMAN_STATES[info.State] ?? info.State;
  // Podman lists them although nothing is published any more.
  const ports = NOT_PUBLISHING.has(state) ? [] : (info.Ports ?? []);
  const summary: ContainerSummary = {
    id: info.Id,
    // Legacy links add names such as "/other/alias".
    name: names.find((name) => !name.includes("/")) ?? names[0] ?? "",
    image: info.Image,
    command: info.Command,
    created: new Date(info.Created * 1000).toISOString(),
    state,
    status: info.Status,
    ports: ports.map((port) => ({
      ...(port.IP ? { host_ip: port.IP } : {}),
      ...(port.PublicPort ? { host: port.PublicPort } : {}),
      container: port.PrivatePort,
      protocol: port.Type,
    })),
    labels: info.Labels ?? {},
    host,
  };
  imageIds.set(summary, info.ImageID);
  return summary;
}

/** The name and the labels of an inspected container, as its summary has them. */
export function nameAndLabels({ Name, Config }: Pick<ContainerInspectInfo, "Name" | "Config">): Pick<ContainerSummary, "name" | "labels"> {
  return { name: Name.slice(1), labels: Config.Labels ?? {} };
}
