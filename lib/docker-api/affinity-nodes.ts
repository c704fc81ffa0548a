import { nodeNotFound } from "../errors";
import type { Affinities } from "./bodies/affinities";
import type { DockerCall } from "./call";
import { engineError } from "./errors";
import type { Json } from "./merges";
import type { Answers, Nodes } from "./nodes";

const PLACE_TOGETHER =
  "make networks and volumes on one node: docker network create and docker volume create take --label constraint:node==NAME";

/** Where a container can be made. */
export interface Places {
  nodes: string[];
  /** none of them has its image, which other nodes have */
  lacksImage: boolean;
}

/**
 * The nodes that can take a container because of what it uses.
 * @returns undefined if any node can
 * @throws AppError NODE_NOT_FOUND; 404 if no node has the image, 409 if what it uses is on different nodes, 503 if a node that may have it is missing
 */
export async function nodesFor(affinities: Affinities, nodes: Nodes, call: DockerCall): Promise<Places | undefined> {
  const bound: { what: string; nodes: string[] }[] = [];
  const { node, project, session } = affinities;
  if (node !== undefined) {
    const names = nodes.namesFor(call.access);
    if (!names.includes(node)) throw nodeNotFound(node, names);
    bound.push({ what: "its constraint", nodes: [node] });
  }
  const named = [
    ...affinities.volumes.map((id) => ({ kind: "volume", id }) as const),
    ...affinities.networks.map((id) => ({ kind: "network", id }) as const),
    ...affinities.containers.map((id) => ({ kind: "container", id }) as const),
    ...(affinities.image === "" ? [] : [{ kind: "image", id: affinities.image } as const]),
  ];
  const held = await Promise.all(
    named.map(async ({ kind, id }) => {
      const { found, missing } = await nodes.holders(kind, id, call);
      const holders = found.map((each) => each.node);
      if (holders.length > 0) return [{ what: `${kind} ${id}`, nodes: holders }];
      // A volume that no node has is made anew; without the others the engine would refuse the container.
      if (missing.length > 0) throw engineError(503, `${kind} ${id}: node ${missing[0]?.node} is unreachable`);
      if (kind === "image") throw engineError(404, `No such image: ${id.includes(":") || id.includes("@") ? id : `${id}:latest`}`);
      return [];
    }),
  );
  bound.push(...held.flat());
  for (const [label, value] of [
    ["com.docker.compose.project", project],
    ["org.testcontainers.sessionId", session],
  ] as const) {
    if (value === undefined) continue;
    const holders = await nodesWithLabel(`${label}=${value}`, nodes, call);
    if (holders.length > 0) bound.push({ what: `${label}=${value}`, nodes: holders });
  }
  if (bound.length === 0) return undefined;
  const common = commonNodes(bound);
  if (common.length > 0) return { nodes: common, lacksImage: false };
  const withoutImage = commonNodes(bound.filter(({ what }) => what !== `image ${affinities.image}`));
  if (withoutImage.length > 0 && !affinities.isImageId) return { nodes: withoutImage, lacksImage: true };
  const where = bound.map(({ what, nodes }) => `${what} is on ${nodes.join(", ")}`).join("; ");
  throw engineError(409, `no node has all that it uses: ${where}; ${PLACE_TOGETHER}`);
}

const commonNodes = (bound: { nodes: string[] }[]): string[] =>
  bound.length === 0 ? [] : bound.map((each) => each.nodes).reduce((all, each) => all.filter((name) => each.includes(name)));

/** The nodes with a container, a network or a volume of this label. */
async function nodesWithLabel(label: string, nodes: Nodes, call: DockerCall): Promise<string[]> {
  const filters = JSON.stringify({ label: [label] });
  const lists = await Promise.all([
    nodes.askAll({ method: "GET", segments: ["containers", "json"], query: new URLSearchParams({ all: "1", filters }) }, call),
    nodes.askAll({ method: "GET", segments: ["networks"], query: new URLSearchParams({ filters }) }, call),
    nodes.askAll({ method: "GET", segments: ["volumes"], query: new URLSearchParams({ filters }) }, call),
  ]);
  const missing = lists[0].missing[0];
  if (missing) throw engineError(503, `${label}: node ${missing.node} is unreachable`);
  return [...new Set(lists.flatMap(holdersIn))];
}

/** The nodes whose list of containers, images, networks or volumes is not empty. */
export function holdersIn({ answers }: Answers): string[] {
  const isHolder = ({ value }: (typeof answers)[0]) => {
    const json = JSON.parse(value.body.toString()) as Json | Json[];
    return value.status === 200 && (Array.isArray(json) ? json : ((json.Volumes ?? []) as Json[])).length > 0;
  };
  return answers.filter(isHolder).map(({ node }) => node);
}
