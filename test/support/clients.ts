import { setTimeout as sleep } from "node:timers/promises";
import type { TestNode } from "./cluster";
import { listHeader } from "./cluster-containers";
import { startTraffic, type Traffic } from "./traffic";

/** What every client is to see, whatever happens behind the pool. */
export interface ExpectedPool {
  /** names of the nodes that every list must hold, as it says itself; nobody may be missing */
  nodes: string[];
  /** names of containers that every list must hold; commands are executed in the first */
  containers: [string, ...string[]];
}

/**
 * Lists, executes and runs through the given nodes as `startTraffic` does, and looks at what the lists hold.
 * @returns ends it and says how much was asked and what went wrong
 */
export function startClients(through: TestNode[], day: ExpectedPool): Traffic {
  const traffic = startTraffic(through, day.containers[0]);
  const wrong: string[] = [];
  let asked = 0;
  let over = false;
  const loops = through.map(async (node) => {
    for (; !over; await sleep(50)) {
      asked += 1;
      const said = await listProblem(node, day).catch((error: Error) => String(error.cause ?? error));
      if (said !== undefined) wrong.push(`the list through ${node.name}: ${said}`);
    }
  });
  return {
    async stop() {
      over = true;
      const [others] = await Promise.all([traffic.stop(), ...loops]);
      return { asked: asked + others.asked, wrong: [...wrong, ...others.wrong] };
    },
  };
}

/** What a list lacks; undefined if nothing. */
async function listProblem(node: TestNode, day: ExpectedPool): Promise<string | undefined> {
  const answer = await node.request("GET", "/");
  if (answer.status !== 200) return `${answer.status} ${answer.text.slice(0, 300)}`;
  const missing = listHeader(answer, "x-cluster-missing");
  if (missing.length > 0) return `${missing.join(", ")} missing`;
  const nodes = listHeader(answer, "x-cluster-nodes");
  if (nodes.join() !== [...day.nodes].sort().join()) return `of ${nodes.join(", ")}`;
  const names = new Set((answer.json as { name: string }[]).map(({ name }) => name));
  const absent = day.containers.filter((name) => !names.has(name));
  return absent.length > 0 ? `without ${absent.join(", ")}` : undefined;
}
