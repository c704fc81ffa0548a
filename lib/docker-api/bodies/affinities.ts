import { isMadeNetwork, joinedContainer } from "../../docker/engine-networks";
import { invalidField } from "../../errors";
import type { CreateBody } from "./create-body";

/** What binds a new container to the node that has it. */
export interface Affinities {
  /** names of volumes */
  volumes: string[];
  /** names or ids of networks */
  networks: string[];
  /** names or ids of containers whose volumes, links or namespaces it takes */
  containers: string[];
  /** a reference or an id; an id exists on the nodes that hold the image only */
  image: string;
  isImageId: boolean;
  /** its Compose project */
  project: string | undefined;
  /** its session of testcontainers */
  session: string | undefined;
  /** the node that `constraint:node==NAME` names */
  node: string | undefined;
}

/**
 * The hard affinities of a container to create.
 * @throws AppError INVALID_INPUT for constraints that contradict each other or aren't `node==NAME`
 */
export function affinitiesOf({ Image, Env, Labels, HostConfig, NetworkingConfig }: CreateBody): Affinities {
  const sources = (HostConfig.Binds ?? []).filter((bind) => bind.includes(":")).map((bind) => bind.split(":")[0] ?? "");
  const mounts = (HostConfig.Mounts ?? []).flatMap(({ Type, Source }) => (Type === "volume" && Source ? [Source] : []));
  const { NetworkMode, PidMode, IpcMode, UTSMode, UsernsMode } = HostConfig;
  const joined = [NetworkMode, PidMode, IpcMode, UTSMode, UsernsMode].flatMap((mode) => joinedContainer(mode) ?? []);
  const beforeColon = (text: string) => text.replace(/^\//, "").replace(/:.*$/, "");
  const links = Object.values(NetworkingConfig?.EndpointsConfig ?? {}).flatMap((endpoint) => endpoint?.Links ?? []);
  const networks = [NetworkMode ?? "", ...Object.keys(NetworkingConfig?.EndpointsConfig ?? {})];
  return {
    volumes: unique([...sources.filter((source) => !source.startsWith("/")), ...mounts]),
    networks: unique(networks.filter(isMadeNetwork)),
    containers: unique([...[...(HostConfig.VolumesFrom ?? []), ...(HostConfig.Links ?? []), ...links].map(beforeColon), ...joined]),
    image: Image,
    isImageId: /^(?:sha256:)?[0-9a-f]{12,64}$/.test(Image),
    ...ofLabels(Labels, Env ?? []),
  };
}

/**
 * The affinities of a network or a volume to create.
 * @throws AppError INVALID_INPUT as `affinitiesOf`
 */
export function affinitiesOfLabels(labels: Record<string, string>): Affinities {
  return { volumes: [], networks: [], containers: [], image: "", isImageId: false, ...ofLabels(labels, []) };
}

const ofLabels = (labels: Record<string, string>, env: readonly string[]) => ({
  project: labels["com.docker.compose.project"] || undefined,
  session: labels["org.testcontainers.sessionId"] || undefined,
  node: constrainedNode(env, labels),
});

/**
 * The node that a constraint names among environment variables and labels.
 * @throws AppError INVALID_INPUT for constraints that contradict each other or aren't `node==NAME`
 */
function constrainedNode(env: readonly string[], labels: Record<string, string>): string | undefined {
  const texts = [...env, ...Object.entries(labels).map(([key, value]) => `${key}=${value}`)];
  const constraints = texts.filter((text) => text.startsWith("constraint:"));
  const nodes = constraints.map((text) => {
    const [, node] = /^constraint:node==([^=~!*/]+)$/.exec(text) ?? [];
    if (node === undefined) throw invalidField("constraint", "must be constraint:node==NAME");
    return node;
  });
  if (unique(nodes).length > 1) throw invalidField("constraint", "names more than one node");
  return nodes[0];
}

const unique = (list: readonly string[]) => [...new Set(list)];
