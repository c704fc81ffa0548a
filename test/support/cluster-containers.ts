import { randomBytes } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { until } from "../../scripts/process";
import type { TestCluster, TestNode } from "./cluster";
import { containersOf } from "./engine-api";
import type { Answer, RequestOptions } from "./server";

/** A name that no other test uses. */
export const uniqueName = (prefix: string) => `${prefix}-${randomBytes(5).toString("hex")}`;

/** A body for `PUT /` of a container that stays. */
export const sleeper = (more: object = {}) => ({ image: "busybox", detach: true, data: ["sleep", "100000"], ...more });

/** Starts a container that stays, on the named node if one is given; its answer. Throws an Error with what came instead of 200. */
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

/** What a node has told of its containers counts for a moment (25 ms) after it can tell no more. */
export const waitForCachedAnswers = () => sleep(100);

/** Where containers of a name are, as the engines themselves tell: `node:state`. */
export async function locate({ nodes }: TestCluster, name: string): Promise<string[]> {
  const found = await Promise.all(
    nodes.map(async ({ engine, name: node }) =>
      (await containersOf(engine)).filter((each) => each.name === name).map(({ state }) => `${node}:${state}`),
    ),
  );
  return found.flat();
}

/** Waits until every node knows and reaches all; whether it came to that. */
export function becomesComplete({ nodes }: TestCluster): Promise<boolean> {
  const sees = async (node: TestNode) => {
    const { json } = await node.request("GET", "/nodes");
    return json.complete && json.nodes.length === nodes.length;
  };
  return until(async () => (await Promise.all(nodes.map(sees))).every(Boolean), 20_000);
}

/** How many containers each engine has, by node. */
export const containerCounts = ({ nodes }: TestCluster): Promise<number[]> =>
  Promise.all(nodes.map(async ({ engine }) => (await containersOf(engine)).length));

/** Removes all containers of all engines, past the servers. */
export async function removeAllContainers({ nodes }: TestCluster): Promise<void> {
  await Promise.all(
    nodes.map(async ({ engine }) => {
      const ids = (await containersOf(engine)).map(({ id }) => id);
      if (ids.length > 0) await engine.docker(["rm", "--force", ...ids]);
    }),
  );
}
