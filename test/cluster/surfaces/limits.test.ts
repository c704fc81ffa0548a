import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { createClient } from "redis";
import { until } from "../../../scripts/process";
import { sleeper, uniqueName } from "../../support/cluster-containers";
import { type Engine, leaseEngine } from "../../support/engine";
import { importBusybox } from "../../support/images";
import { startLimited } from "../../support/limited-server";
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

/** The keys of the request counts in the Redis. */
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
async function countsInRedis(server: TestServer): Promise<boolean> {
  await statuses([server], "/", "second");
  return (await keysOf(redis)).length > 0;
}

/** Two nodes that know each other; each client may list, and read logs, LIMIT times a minute. */
async function startPair(store: string[], lowBurst = 0): Promise<[TestServer, TestServer]> {
  const bursts = [`--low_burst=${lowBurst}`, `--mid_burst=${LIMIT}`, `--high_burst=${LIMIT}`];
  const flags = ["--token=first", "--token=second", "--token=third", "--cluster", ...store, "--refresh_rate=500", "--cache_interval=200"];
  servers = await Promise.all(engines.map((engine) => startLimited(engine, ["--node_name", engine.name, ...flags, ...bursts])));
  // Each node can forward to the other. The runs use a token of their own, so that they don't count for the tested clients.
  const [one, other] = servers as [TestServer, TestServer];
  const run = (server: TestServer, node: string) =>
    server.request("PUT", `/?node=${node}`, { ...as("third"), json: sleeper({ name: uniqueName("box") }) });
  expect(await until(async () => (await run(one, "l2")).status === 200 && (await run(other, "l1")).status === 200, 20_000)).toBe(true);
  return [one, other];
}

const as = (token: string) => ({ headers: { Authorization: `Bearer ${token}` } });

async function statuses(targets: TestServer[], pathname: string, token: string): Promise<number[]> {
  const found: number[] = [];
  for (const server of targets) found.push((await server.request("GET", pathname, as(token))).status);
  return found;
}

const repeat = (count: number, ...servers: TestServer[]) => Array.from({ length: count }, () => servers).flat();
const allSucceed = Array<number>(LIMIT).fill(200);

test("with a Redis each client has one limit for the whole cluster", async () => {
  const [one, other] = await startPair(["--redis", `redis://127.0.0.1:${redis.port}`]);
  // The counts move into the Redis just after the start.
  expect(await until(async () => (await keysOf(redis)).length > 0 || (await statuses([one], "/", "second")).length === 0, 10_000)).toBe(
    true,
  );
  expect(await statuses(repeat(LIMIT / 2, one, other), "/", "first")).toEqual(allSucceed);
  expect(await statuses([one, other], "/", "first")).toEqual([429, 429]);
});

test("without its Redis each node counts alone and no request fails; the counts are shared again when the Redis is back", async () => {
  const [one, other] = await startPair(["--redis", `redis://127.0.0.1:${redis.port}`]);
  redis.freeze();
  expect(await statuses([one, other], "/", "first")).toEqual([200, 200]);
  redis.thaw();
  await redis.kill();
  expect(await statuses(repeat(LIMIT - 1, one, other), "/", "first")).toEqual(repeat(LIMIT - 1, one, other).map(() => 200));
  expect(await statuses([one, other], "/", "first")).toEqual([429, 429]);
  await redis.restart();
  expect(await until(() => countsInRedis(one), 20_000)).toBe(true);
});

test("a right token is never refused for the wrong ones of its address, for a container of another node either", async () => {
  const limit = 30;
  const [one] = await startPair(["--folder", folder], limit);
  const container = (await engines[1]?.docker(["ps", "--quiet", "--no-trunc"]))?.stdout.split("\n")[0];
  const wrong = await Promise.all(Array.from({ length: limit + 1 }, (_, index) => statuses([one], `/${container}`, `wrong-${index}`)));
  expect(wrong.flat().sort()).toEqual([...Array(limit).fill(401), 429]);
  expect(await statuses([one], `/${container}`, "second")).toEqual([200]);
});

test("with a folder each node counts the requests of its own clients, and not those forwarded to it", async () => {
  const [one, other] = await startPair(["--folder", folder]);
  const container = (await engines[1]?.docker(["ps", "--quiet", "--no-trunc"]))?.stdout.split("\n")[0];
  expect(await statuses(repeat(LIMIT, one), "/", "first")).toEqual(allSucceed);
  expect(await statuses(repeat(LIMIT, one), `/${container}`, "first")).toEqual(allSucceed);
  expect(await statuses(repeat(LIMIT, other), "/", "first")).toEqual(allSucceed);
  expect(await statuses(repeat(LIMIT, other), `/${container}`, "first")).toEqual(allSucceed);
  expect(await statuses([one, other], "/", "first")).toEqual([429, 429]);
});
