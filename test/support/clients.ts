import { setTimeout as sleep } from "node:timers/promises";
import type { TestNode } from "./cluster";
import { listHeader } from "./cluster-containers";
import { startTraffic, type Traffic } from "./traffic";

/** The pool that every client must see, even while single nodes fail. */
export interface ExpectedPool {
  /** names of the nodes that X-Cluster-Nodes of every list must name; X-Cluster-Missing must be empty */
  nodes: string[];
  /** names of containers that every list must contain; commands are executed in the first */
  containers: [string, ...string[]];
}

/**
 * Lists, executes and runs through the given nodes as `startTraffic` does, and checks the contents of lists.
 * @returns `stop()`, which resolves to the number of requests and the problems
 */
export function startClients(through: TestNode[], expected: ExpectedPool): Traffic {
  const traffic = startTraffic(through, expected.containers[0]);
  const wrong: string[] = [];
  let asked = 0;
  let stopped = false;
  const loops = through.map(async (node) => {
    for (; !stopped; await sleep(50)) {
      asked += 1;
      const problem = await listProblem(node, expected).catch((error: Error) => String(error.cause ?? error));
      if (problem !== undefined) wrong.push(`the list through ${node.name}: ${problem}`);
    }
  });
  return {
    async stop() {
      stopped = true;
      const [others] = await Promise.all([traffic.stop(), ...loops]);
      return { asked: asked + others.asked, wrong: [...wrong, ...others.wrong] };
    },
  };
}

/** Describes the problem of a list; undefined if there is none. */
async function listProblem(node: TestNode, expected: ExpectedPool): Promise<string | undefined> {
  const answer = await node.request("GET", "/");
  if (answer.status !== 200) return `${answer.status} ${answer.text.slice(0, 300)}`;
  const missing = listHeader(answer, "x-cluster-missing");
  if (missing.length > 0) return `${missing.join(", ")} missing`;
  const nodes = listHeader(answer, "x-cluster-nodes");
  if (nodes.join() !== [...expected.nodes].sort().join()) return `of ${nodes.join(", ")}`;
  const names = new Set((answer.json as { name: string }[]).map(({ name }) => name));
  const absent = expected.containers.filter((name) => !names.has(name));
  return absent.length > 0 ? `without ${absent.join(", ")}` : undefined;
}
