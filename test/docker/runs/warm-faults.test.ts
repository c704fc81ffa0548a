import { until } from "../../../scripts/process";
import { importRunner } from "../../support/images";
import { code, comesBackTo, everythingOn, rawCode, runsUnderWay } from "../../support/runs";
import { startServer, type TestServer } from "../../support/server";
import { type OneNode, startNode } from "../../support/single-node";
import { becomesWarm, runningOn, warmCount, withServerOn } from "../../support/warm-pool";

const WAIT_MS = 60_000;
const LIMITS = ["--run_memory=40000000"];

let node: OneNode;
let before: string[];
beforeAll(async () => {
  node = await startNode({ name: "runs-warm-faults", ownEngine: true, args: ["--run_pool_memory=0"] });
  await importRunner(node.engine);
  await importRunner(node.engine, "other-runner:latest");
  before = await everythingOn(node);
});
afterAll(() => node?.stop());

const withServer = (args: string[], work: (server: TestServer) => Promise<void>) => withServerOn(node, before, [...LIMITS, ...args], work);
const inspectAll = async () => Promise.all((await runningOn(node)).map((id) => node.inspect(id)));

test("after an engine restart runs continue with new warm sandboxes", async () => {
  await withServer([], async (server) => {
    await code(server, "true");
    expect(await becomesWarm(server)).toBe(true);
    const old = await runningOn(node);
    await node.engine.restart();
    expect(await until(async () => (await code(server, "echo again")).json.stdout === "again", WAIT_MS)).toBe(true);
    expect(await becomesWarm(server)).toBe(true);
    expect(await code(server, "echo once more")).toMatchObject({ status: 200, json: { stdout: "once more" } });
    expect((await runningOn(node)).filter((id) => old.includes(id))).toEqual([]);
  });
});

test("a frozen engine is a 503 at once", async () => {
  await withServer([], async (server) => {
    await code(server, "true");
    expect(await becomesWarm(server)).toBe(true);
    node.engine.freeze();
    try {
      expect((await code(server, "echo never")).json).toMatchObject({ status: 503, code: "ENGINE_UNREACHABLE" });
    } finally {
      node.engine.thaw();
    }
    expect(await until(async () => (await code(server, "echo again")).json.stdout === "again", WAIT_MS)).toBe(true);
  });
});

test("a killed server's warm sandboxes exit and are removed by the next", async () => {
  const server = await startServer({ engine: node.engine, args: LIMITS });
  await code(server, "true");
  expect(await becomesWarm(server)).toBe(true);
  expect(await runsUnderWay(node, 1)).toBe(true);
  const [{ Config }] = (await inspectAll()) as [{ Config: { Labels: Record<string, string> } }];
  const expires = Number(Config.Labels["docker-server.expires"]);
  expect(expires - Date.now() / 1000).toBeGreaterThan(600);
  expect(expires - Date.now() / 1000).toBeLessThan(1000);
  await server.stop("SIGKILL");
  // Its stdin is closed.
  expect(await until(async () => (await runningOn(node)).length === 0, WAIT_MS)).toBe(true);
  expect(await everythingOn(node)).not.toEqual(before);
  const ended = await node.docker("ps", "--all", "--quiet");
  const age = async () => Date.now() - Date.parse((await node.inspect(ended)).State.FinishedAt);
  expect(await until(async () => (await age()) > 6000, WAIT_MS)).toBe(true);
  const next = await startServer({ engine: node.engine, args: LIMITS });
  expect(await comesBackTo(node, before)).toBe(true);
  await next.stop();
});

test("images in use share the pool's memory", async () => {
  await withServer(["--run_pool_memory=80000000"], async (server) => {
    await Promise.all([code(server, "sleep 1"), code(server, "sleep 1")]);
    expect(await becomesWarm(server, 2)).toBe(true);
    const other = () => server.request("POST", "/run", { json: { image: "other-runner", payload: { raw: "ZWNobyAie30i" } } });
    expect((await other()).text).toBe("{}");
    const images = async () => (await node.docker("ps", "--format", "{{.Image}}")).split("\n");
    const isShared = async () => (await warmCount(server)) === 2 && (await images()).length === 2 && new Set(await images()).size === 2;
    expect(await until(isShared, WAIT_MS)).toBe(true);
  });
});

test("a warm sandbox has the same limits and isolation as a cold one", async () => {
  const run = "sleep 2; echo '{}'";
  let cold: Record<string, unknown> = {};
  await withServer(["--run_pool_memory=0"], async (server) => {
    const answer = rawCode(server, run);
    expect(await runsUnderWay(node, 1)).toBe(true);
    cold = limitsOf((await inspectAll())[0]);
    await answer;
  });
  await withServer([], async (server) => {
    await code(server, "true");
    expect(await becomesWarm(server)).toBe(true);
    expect(await runsUnderWay(node, 1)).toBe(true);
    expect(limitsOf((await inspectAll())[0])).toEqual(cold);
  });
});

// biome-ignore lint/suspicious/noExplicitAny: an engine response
function limitsOf({ Config, HostConfig, Mounts, NetworkSettings }: any): Record<string, unknown> {
  const { User, Labels, Hostname, ...config } = Config;
  return { config, HostConfig, Mounts, networks: Object.keys(NetworkSettings.Networks), labels: Object.keys(Labels), Hostname };
}

test("the network is enabled by its setting, warm and cold", async () => {
  await withServer(["--run_network_disabled=false"], async (server) => {
    for (let run = 0; run < 2; run += 1) {
      expect((await code(server, "ls /sys/class/net")).json.stdout.split("\n")).toContain("eth0");
      expect(await becomesWarm(server)).toBe(true);
    }
  });
});

test("a missing runtime is an error with its name, and nothing is left", async () => {
  await withServer(["--run_runtime=runsc"], async (server) => {
    const { json } = await code(server, "true");
    expect(json).toMatchObject({ status: 500, code: "ENGINE_ERROR", message: expect.stringContaining("runsc") });
    expect(json.message).toContain("run_runtime");
    expect(await warmCount(server)).toBe(0);
    expect(await comesBackTo(node, before)).toBe(true);
  });
});
