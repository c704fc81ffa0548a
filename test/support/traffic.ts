import type { TestNode } from "./cluster";
import { sleeper, uniqueName } from "./cluster-containers";

/** Clients that send requests during a fault and record every failure. */
export interface Traffic {
  /** Ends the clients. Resolves to the number of requests and the failures. */
  stop(): Promise<{ asked: number; wrong: string[] }>;
}

/**
 * Lists, executes and runs through each of the given nodes until `stop()`.
 * @param container name of the container for commands
 */
export function startTraffic(nodes: TestNode[], container: string): Traffic {
  const wrong: string[] = [];
  let asked = 0;
  let stopped = false;
  const step = async (node: TestNode, method: string, path: string, json?: unknown) => {
    asked += 1;
    const failure = await node.request(method, path, json === undefined ? {} : { json }).then(
      ({ status, text }) => (status === 200 ? undefined : `${status} ${text.slice(0, 300)}`),
      (error: Error) => String(error.cause ?? error),
    );
    if (failure !== undefined) wrong.push(`${method} ${path} through ${node.name}: ${failure}`);
  };
  const loop = async (node: TestNode) => {
    while (!stopped) {
      const name = uniqueName("traffic");
      await step(node, "GET", "/");
      await step(node, "POST", `/${container}`, { data: "true" });
      await step(node, "PUT", "/", sleeper({ name, network: "none" }));
    }
  };
  const loops = nodes.map(loop);
  return {
    async stop() {
      stopped = true;
      await Promise.all(loops);
      return { asked, wrong };
    },
  };
}
