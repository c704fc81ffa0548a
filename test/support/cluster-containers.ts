import { randomBytes } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { until } from "../../scripts/process";
import type { TestCluster, TestNode } from "./cluster";
import { containersOf } from "./engine-api";
import type { Answer, RequestOptions } from "./server";

/** A name that no other test uses. */
export const uniqueName = (prefix: string) => `${prefix}-${randomBytes(5).toString("hex")}`;

/** A body for `PUT /` of a container that keeps running. */
export const sleeper = (more: object = {}) => ({ image: "busybox", detach: true, data: ["sleep", "100000"], ...more });

/** Starts a container that keeps running, on the named node if one is given. Returns the JSON; throws an Error for any status but 200. */
export async function startContainer(through: TestNode, more: object = {}, node?: string, options: RequestOptions = {}) {
  const answer = await through.request("PUT", node ? `/?node=${node}` : "/", { json: sleeper(more), ...options });
  if (answer.status !== 200) throw new Error(`PUT through ${through.name}: ${answer.status} ${answer.text}`);
  return answer.json as { id: string; name: string; host: string; repeated?: boolean };
}

/** The names of nodes in a header such as X-Cluster-Nodes, sorted. */
export const listHeader = (answer: Answer, header: string) =>
  (answer.headers.get(header) ?? "")
    .split(", ")
    .filter((name) => name !== "")
    .sort();

/** Waits until peers don't use a node's last list any more: it stays valid for 25 ms after its stream ended. */
export const waitForCachedAnswers = () => sleep(100);

/** Nodes and states (`node:state`) of the containers with a name, read from the engines. */
export async function locate({ nodes }: TestCluster, name: string): Promise<string[]> {
  const found = await Promise.all(
    nodes.map(async ({ engine, name: node }) =>
      (await containersOf(engine)).filter((each) => each.name === name).map(({ state }) => `${node}:${state}`),
    ),
  );
  return found.flat();
}

/** Waits until every node reaches all; false after `deadlineMs`, 20 s by default. */
export function becomesComplete({ nodes }: TestCluster, deadlineMs = 20_000): Promise<boolean> {
  const sees = async (node: TestNode) => {
    const { json } = await node.request("GET", "/nodes");
    return json.complete && json.nodes.length === nodes.length;
  };
  return until(async () => (await Promise.all(nodes.map(sees))).every(Boolean), deadlineMs);
}

/** The number of containers on each node's engine. */
export const containerCounts = ({ nodes }: TestCluster): Promise<number[]> =>
  Promise.all(nodes.map(async ({ engine }) => (await containersOf(engine)).length));

/** Removes all containers of all engines, without the servers. */
export async function removeAllContainers({ nodes }: TestCluster): Promise<void> {
  await Promise.all(
    nodes.map(async ({ engine }) => {
      const ids = (await containersOf(engine)).map(({ id }) => id);
      if (ids.length > 0) await engine.docker(["rm", "--force", ...ids]);
    }),
  );
}
