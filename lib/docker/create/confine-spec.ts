import type { Access } from "../../access/access";
import { refusedBy } from "../../access/access";
import { type Confinement, isReservedLabel } from "../containers/confinement";
import type { RunSpec } from "./run-spec";

/** Networks of every engine that need no labels. `host` needs the token's `host` caveat. */
const ENGINE_NETWORKS = new Set(["bridge", "default", "none", "host"]);

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
  const namespace = async (value: string | undefined) => {
    const [, id] = /^container:(.*)$/.exec(value ?? "") ?? [];
    return id === undefined ? value : `container:${await confinement.containerId(id, labels, { prefix: true })}`;
  };
  const network = await namespace(spec.network);
  const isOwnNetwork = network !== undefined && !network.startsWith("container:") && !ENGINE_NETWORKS.has(network);
  return {
    ...spec,
    network: isOwnNetwork ? await confinement.networkId(network, labels) : network,
    pid: await namespace(spec.pid),
    ipc: await namespace(spec.ipc),
    uts: await namespace(spec.uts),
    userns: await namespace(spec.userns),
    labels: { ...(await confinement.labelsToClear(spec.image)), ...withoutEmptyReserved(spec.labels), ...labels },
  };
}

const withoutEmptyReserved = (labels: Record<string, string>) =>
  Object.fromEntries(Object.entries(labels).filter(([key, value]) => !isReservedLabel(key) || value !== ""));
