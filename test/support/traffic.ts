import type { TestNode } from "./cluster";
import { sleeper, uniqueName } from "./cluster-containers";

/** What a client saw during a fault: every answer that was not as on a good day. */
export interface Traffic {
  /** Ends it and says how much was asked, and what went wrong. */
  stop(): Promise<{ asked: number; wrong: string[] }>;
}

/**
 * Lists, executes and runs through the given nodes in turn, until it is stopped.
 * @param container that commands are executed in
 */
export function startTraffic(nodes: TestNode[], container: string): Traffic {
  const wrong: string[] = [];
  let asked = 0;
  let over = false;
  const step = async (node: TestNode, method: string, path: string, json?: unknown) => {
    asked += 1;
    const said = await node.request(method, path, json === undefined ? {} : { json }).then(
      ({ status, text }) => (status === 200 ? undefined : `${status} ${text.slice(0, 300)}`),
      (error: Error) => String(error.cause ?? error),
    );
    if (said !== undefined) wrong.push(`${method} ${path} through ${node.name}: ${said}`);
  };
  const loop = async (node: TestNode) => {
    while (!over) {
      const name = uniqueName("traffic");
      await step(node, "GET", "/");
      await step(node, "POST", `/${container}`, { data: "true" });
      await step(node, "PUT", "/", sleeper({ name, network: "none" }));
    }
  };
  const loops = nodes.map(loop);
  return {
    async stop() {
      over = true;
      await Promise.all(loops);
      return { asked, wrong };
    },
  };
}
