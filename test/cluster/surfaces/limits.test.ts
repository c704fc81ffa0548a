import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { createClient } from "redis";
import { until } from "../../../scripts/process";
import { type Engine, leaseEngine } from "../../support/engine";
import { importBusybox } from "../../support/images";
import { startLimited } from "../../support/limited-server";
import { sleeper, unique } from "../../support/pool";
import { type FlakyServer, startRedis } from "../../support/redis";
import type { TestServer } from "../../support/server";

const LIMIT = 6;

let engines: Engine[];
let redis: FlakyServer;
let folder: string;
let servers: TestServer[] = [];
beforeAll(async () => {
  redis = await startRedis();
  folder = mkdtempSync(path.join(tmpdir(), "docker-server-limits-"));
  engines = await Promise.all(["l1", "l2"].map((name) => leaseEngine({ name })));
  await Promise.all(engines.map((engine) => importBusybox(engine)));
});
afterAll(async () => {
  await Promise.all(engines.map((engine) => engine.stop()));
  await redis.stop();
  rmSync(folder, { recursive: true });
});
afterEach(() => Promise.all(servers.map((server) => server.stop("SIGKILL"))));

/** What counts there are in the Redis. */
async function keysOf({ port }: FlakyServer): Promise<string[]> {
  const client = createClient({ url: `redis://127.0.0.1:${port}` });
  await client.connect();
  try {
    return await client.keys("docker-server:burst:*");
  } finally {
    client.destroy();
  }
}

/** Whether a request through this node is counted in the Redis. */
async function counted(server: TestServer): Promise<boolean> {
  await statuses([server], "/", "second");
  return (await keysOf(redis)).length > 0;
}

/** Two nodes that know each other; each client may list, and read logs, so often a minute. */
async function startPair(store: string[]): Promise<[TestServer, TestServer]> {
  const bursts = ["--low_burst=0", `--mid_burst=${LIMIT}`, `--high_burst=${LIMIT}`];
  const flags = ["--token=first", "--token=second", "--token=third", "--cluster", ...store, "--refresh_rate=500", "--cache_interval=200"];
  servers = await Promise.all(engines.map((engine) => startLimited(engine, ["--node_name", engine.name, ...flags, ...bursts])));
  // Each sees the other's container, asked so rarely that the limit is not what ends it.
  const [one, other] = servers as [TestServer, TestServer];
  const run = (server: TestServer, node: string) =>
    server.request("PUT", `/?node=${node}`, { ...as("third"), json: sleeper({ name: unique("box") }) });
  expect(await until(async () => (await run(one, "l2")).status === 200 && (await run(other, "l1")).status === 200, 20_000)).toBe(true);
  return [one, other];
}

const as = (token: string) => ({ headers: { Authorization: `Bearer ${token}` } });

async function statuses(asked: TestServer[], pathname: string, token: string): Promise<number[]> {
  const found: number[] = [];
  for (const server of asked) found.push((await server.request("GET", pathname, as(token))).status);
  return found;
}

const times = (count: number, ...servers: TestServer[]) => Array.from({ length: count }, () => servers).flat();
const within = Array<number>(LIMIT).fill(200);

test("with a Redis a client has one limit in the whole cluster, and another client its own", async () => {
  const [one, other] = await startPair(["--redis", `redis://127.0.0.1:${redis.port}`]);
  // The counts move into the Redis just after the start.
  expect(await until(async () => (await keysOf(redis)).length > 0 || (await statuses([one], "/", "second")).length === 0, 10_000)).toBe(
    true,
  );
  expect(await statuses(times(LIMIT / 2, one, other), "/", "first")).toEqual(within);
  expect(await statuses([one, other], "/", "first")).toEqual([429, 429]);
});

test("with its Redis gone or frozen each node counts by itself, no request fails for it, and they share again when it is back", async () => {
  const [one, other] = await startPair(["--redis", `redis://127.0.0.1:${redis.port}`]);
  redis.freeze();
  expect(await statuses([one, other], "/", "first")).toEqual([200, 200]);
  redis.thaw();
  await redis.kill();
  expect(await statuses(times(LIMIT - 1, one, other), "/", "first")).toEqual(times(LIMIT - 1, one, other).map(() => 200));
  expect(await statuses([one, other], "/", "first")).toEqual([429, 429]);
  await redis.restart();
  expect(await until(() => counted(one), 20_000)).toBe(true);
});

test("with a folder each node counts what comes to it; what it asks of the others for a client costs that client nothing there", async () => {
  const [one, other] = await startPair(["--folder", folder]);
  const container = (await engines[1]?.docker(["ps", "--quiet", "--no-trunc"]))?.stdout.split("\n")[0];
  expect(await statuses(times(LIMIT, one), "/", "first")).toEqual(within);
  expect(await statuses(times(LIMIT, one), `/${container}`, "first")).toEqual(within);
  expect(await statuses(times(LIMIT, other), "/", "first")).toEqual(within);
  expect(await statuses(times(LIMIT, other), `/${container}`, "first")).toEqual(within);
  expect(await statuses([one, other], "/", "first")).toEqual([429, 429]);
});
