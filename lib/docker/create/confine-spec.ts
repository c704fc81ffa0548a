import type { Access } from "../../access/access";
import { refusedBy } from "../../access/access";
import { type Confinement, type ConfiningLabels, isReservedLabel } from "../containers/confinement";
import { ENGINE_NETWORKS } from "../engine-networks";
import type { RunSpec } from "./run-spec";

/**
 * The spec as a token's labels let it be created: with its labels, and with the ids of the container or network whose names it has, so
 * that what was checked is what is created.
 * @param spec whose image is on this host
 * @throws AppError CONTAINER_NOT_FOUND, INVALID_SPEC for another's container or network; REFUSED_BY_TOKEN
 */
export async function confineSpec(confinement: Confinement, spec: RunSpec, access: Access): Promise<RunSpec> {
  const { labels } = access;
  if (!labels) return spec;
  const reserved = Object.keys(spec.labels).find((key) => key.startsWith("com.docker."));
  if (reserved !== undefined) throw refusedBy("labels", `${reserved} is a label of Compose`, { field: "labels" });
  const namespace = (value: string | undefined) => confineNamespace(confinement, value, labels);
  return {
    ...spec,
    network: await confineNetwork(confinement, spec.network, labels),
    pid: await namespace(spec.pid),
    ipc: await namespace(spec.ipc),
    uts: await namespace(spec.uts),
    userns: await namespace(spec.userns),
    labels: { ...(await confinement.labelsToClear(spec.image)), ...withoutEmptyReserved(spec.labels), ...labels },
  };
}

/** The namespace of a container by its full id. @throws AppError CONTAINER_NOT_FOUND for another's container */
async function confineNamespace(confinement: Confinement, value: string | undefined, labels: ConfiningLabels): Promise<string | undefined> {
  const [, id] = /^container:(.*)$/.exec(value ?? "") ?? [];
  return id === undefined ? value : `container:${await confinement.containerId(id, labels, { prefix: true })}`;
}

/**
 * A network that a token's labels let a container join, by its id; those of every engine by their name.
 * @throws AppError CONTAINER_NOT_FOUND, INVALID_SPEC for another's container or network
 */
export async function confineNetwork(
  confinement: Confinement,
  network: string | undefined,
  labels: ConfiningLabels,
): Promise<string | undefined> {
  // `host` needs the token's `host` caveat.
  if (network === undefined || ENGINE_NETWORKS.has(network)) return network;
  return network.startsWith("container:") ? confineNamespace(confinement, network, labels) : confinement.networkId(network, labels);
}

const withoutEmptyReserved = (labels: Record<string, string>) =>
  Object.fromEntries(Object.entries(labels).filter(([key, value]) => !isReservedLabel(key) || value !== ""));
