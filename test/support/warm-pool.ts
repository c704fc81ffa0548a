import { until } from "../../scripts/process";
import { containersOf } from "./engine-api";
import { comesBackTo } from "./runs";
import { startServer, type TestServer } from "./server";
import type { OneNode } from "./single-node";

const WARM_UP_TIMEOUT_MS = 60_000;

/** Gives a test a server of its own on a node's engine; at its stop there is just what was before. */
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
  expect(await comesBackTo(node, before)).toBe(true);
}

/** How many sandboxes wait for a payload. */
export const warmCount = async (server: TestServer) =>
  Number(/docker_server_runs\{state="warm"\} (\d+)/.exec((await server.request("GET", "/metrics")).text)?.[1]);

/** Whether so many come to wait. */
export const becomesWarm = (server: TestServer, count = 1) => until(async () => (await warmCount(server)) >= count, WARM_UP_TIMEOUT_MS);

/** Full ids of all containers that run on a node. */
export const runningOn = async ({ engine }: Pick<OneNode, "engine">) =>
  (await containersOf(engine)).filter(({ state }) => state === "running").map(({ id }) => id);
