import type { MergeName } from "./row";

/** A JSON object of the Engine API. */
export type Json = Record<string, unknown>;

/** What one node answered. */
export interface NodeAnswer {
  node: string;
  json: unknown;
}

export interface MergeContext {
  query: URLSearchParams;
  missing: readonly { node: string; reason: string }[];
  /** of the pool, the same on every node */
  poolId: string;
  /** what every node that answered can do */
  apiVersion: number;
  minVersion: number;
}

type Merge = (answers: NodeAnswer[], context: MergeContext) => unknown;

const listOf = (value: unknown): Json[] => (Array.isArray(value) ? (value as Json[]) : []);
const numberOf = (value: unknown): number => (typeof value === "number" ? value : 0);
const join = (answers: NodeAnswer[], pick: (json: Json) => unknown): Json[] => answers.flatMap(({ json }) => listOf(pick(json as Json)));
const sum = (answers: NodeAnswer[], name: string): number => answers.reduce((total, { json }) => total + numberOf((json as Json)[name]), 0);
const strings = (value: unknown): string[] => (Array.isArray(value) ? value.map(String) : []);

/** How many containers a list may have; undefined: any number. */
export function limitOf(query: URLSearchParams): number | undefined {
  const limit = Number(query.get("limit") ?? 0);
  return limit > 0 ? limit : undefined;
}

/** Newest first, as the engine lists; `limit` counts over all nodes. */
function mergeContainers(answers: NodeAnswer[], { query }: MergeContext): Json[] {
  // Nodes that are asked by name may use one engine.
  const byId = new Map(join(answers, (json) => json).map((container) => [container.Id, container]));
  const all = [...byId.values()].sort((a, b) => numberOf(b.Created) - numberOf(a.Created));
  return all.slice(0, limitOf(query));
}

/** One row for each image, with the names and digests that any node knows it by. */
function mergeImages(answers: NodeAnswer[]): Json[] {
  const byId = new Map<string, Json>();
  for (const image of join(answers, (json) => json)) {
    const known = byId.get(String(image.Id));
    if (!known) byId.set(String(image.Id), { ...image });
    else {
      known.RepoTags = union(known.RepoTags, image.RepoTags);
      known.RepoDigests = union(known.RepoDigests, image.RepoDigests);
      // -1: not counted
      if (numberOf(known.Containers) >= 0 && numberOf(image.Containers) >= 0)
        known.Containers = numberOf(known.Containers) + numberOf(image.Containers);
    }
  }
  return [...byId.values()].sort((a, b) => numberOf(b.Created) - numberOf(a.Created));
}

/** Engines up to 24 write `<none>` for an image without a name. */
function union(a: unknown, b: unknown): string[] {
  const all = [...new Set([...strings(a), ...strings(b)])];
  const named = all.filter((name) => !name.startsWith("<none>"));
  return named.length > 0 ? named : all;
}

/** Networks that every engine has. */
export const PREDEFINED_NETWORKS: ReadonlySet<string> = new Set(["bridge", "host", "none"]);

function mergeNetworks(answers: NodeAnswer[]): Json[] {
  const seen = new Set<string>();
  return join(answers, (json) => json).filter(({ Name, Id }) => {
    // An overlay network of a swarm is on several engines under one id.
    const key = PREDEFINED_NETWORKS.has(String(Name)) ? String(Name) : String(Id);
    return !seen.has(key) && Boolean(seen.add(key));
  });
}

function mergeVolumes(answers: NodeAnswer[], { missing }: MergeContext): Json {
  const warnings = [...answers.flatMap(({ json }) => strings((json as Json).Warnings)), ...missing.map(unreachable)];
  return { Volumes: join(answers, (json) => json.Volumes), Warnings: warnings.length > 0 ? warnings : null };
}

const unreachable = ({ node, reason }: { node: string; reason: string }) => `node ${node} is unreachable: ${reason}`;

const SUMMED = ["Containers", "ContainersRunning", "ContainersPaused", "ContainersStopped", "Images", "NCPU", "MemTotal"];

function mergeInfo(answers: NodeAnswer[], { missing, poolId }: MergeContext): Json {
  const own = answers[0]?.json as Json;
  const rows = answers.flatMap(({ node, json }) => {
    const { Containers, NCPU, MemTotal, ServerVersion, OperatingSystem } = json as Json;
    return [
      [node, String(ServerVersion)],
      [`  └ ${OperatingSystem}`, `${Containers} containers, ${NCPU} CPUs, ${MemTotal} bytes of memory`],
    ];
  });
  return {
    ...own,
    ...Object.fromEntries(SUMMED.map((name) => [name, sum(answers, name)])),
    ...(answers.length + missing.length > 1 ? { ID: poolId } : {}),
    SystemStatus: rows,
    Warnings: [...strings(own.Warnings), ...missing.map(unreachable)],
    // Compose takes an absent state for an enabled swarm.
    Swarm: { ...(own.Swarm as Json), LocalNodeState: "inactive", ControlAvailable: false },
  };
}

function mergeVersion(answers: NodeAnswer[], { apiVersion, minVersion }: MergeContext): Json {
  const own = answers[0]?.json as Json;
  const versions = { ApiVersion: `1.${apiVersion}`, MinAPIVersion: `1.${minVersion}` };
  const components = listOf(own.Components).map((each) =>
    each.Name === "Engine" ? { ...each, Details: { ...(each.Details as Json), ...versions } } : each,
  );
  return { ...own, ...versions, ...(own.Components ? { Components: components } : {}) };
}

function mergeDf(answers: NodeAnswer[]): Json {
  const merged: Json = {};
  for (const { json } of answers) {
    for (const [name, value] of Object.entries(json as Json)) {
      if (Array.isArray(value)) merged[name] = [...listOf(merged[name]), ...value];
      else if (typeof value === "number") merged[name] = numberOf(merged[name]) + value;
      else merged[name] ??= value;
    }
  }
  return merged;
}

/** How the answers of several nodes become one, this node's first. */
export const MERGES: Record<MergeName, Merge> = {
  containers: mergeContainers,
  images: mergeImages,
  networks: mergeNetworks,
  volumes: mergeVolumes,
  info: mergeInfo,
  version: mergeVersion,
  df: mergeDf,
  // of a prune: what each node has removed, and the bytes of all
  prune: mergeDf,
};
