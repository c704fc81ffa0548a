import { until } from "../../scripts/process";
import { containersOf } from "./engine-api";
import { comesBackTo, everythingOn } from "./runs";
import { startServer, type TestServer } from "./server";
import type { OneNode } from "./single-node";

const WARM_UP_TIMEOUT_MS = 60_000;

/** Runs `work` with another server on a node's engine; after its stop the engine's contents must be `before` again. */
export async function withServerOn(
  node: OneNode,
  before: string[],
  args: string[],
  work: (server: TestServer) => Promise<void>,
): Promise<void> {
  const server = await startServer({ engine: node.engine, args });
  try {
    await work(server);
  } finally {
    await server.stop();
  }
  if (await comesBackTo(node, before)) return;
  const states = (await containersOf(node.engine)).map(({ name, state }) => `${name} is ${state}`);
  throw new Error(`Left on the engine: ${states.join(", ") || (await everythingOn(node)).join(", ")}`);
}

/** The number of sandboxes that wait for a payload. */
export const warmCount = async (server: TestServer) =>
  Number(/docker_server_runs\{state="warm"\} (\d+)/.exec((await server.request("GET", "/metrics")).text)?.[1]);

/** Waits until at least `count` sandboxes are warm; false after 60 s. */
export const becomesWarm = (server: TestServer, count = 1) => until(async () => (await warmCount(server)) >= count, WARM_UP_TIMEOUT_MS);

/** Full ids of all running containers of a node. */
export const runningOn = async ({ engine }: Pick<OneNode, "engine">) =>
  (await containersOf(engine)).filter(({ state }) => state === "running").map(({ id }) => id);
