import { existsSync, readFileSync, writeFileSync } from "node:fs";
import http from "node:http";
import net from "node:net";
import path from "node:path";
import { hasEnded } from "../../../scripts/bed-cleanup";
import { until } from "../../../scripts/process";
import { ROOT_ADDRESS } from "../../support/bed";
import { type Engine, leaseEngine } from "../../support/engine";
import { importBusybox } from "../../support/images";
import { installPm2, type Pm2 } from "../../support/pm2";
import { accepts, freePorts } from "../../support/ports";
import { TOKEN } from "../../support/server";

const WAIT_TIMEOUT_MS = 20_000;

let engine: Engine;
let pm2: Pm2;
let port: number;
let env: NodeJS.ProcessEnv;
beforeAll(async () => {
  engine = await leaseEngine({ name: "pm2" });
  await importBusybox(engine);
  pm2 = await installPm2();
  [port = 0] = await freePorts(1);
  const config = path.join(engine.folder, "docker-server.json");
  writeFileSync(config, JSON.stringify({ token: [TOKEN], low_burst: 0, mid_burst: 0, high_burst: 0 }));
  env = { DS_CONFIG: config, DS_PORT: String(port), DOCKER_HOST: engine.dockerHost };
});
afterAll(async () => {
  await pm2?.stop();
  await engine?.stop();
});
const cleanups: (() => void)[] = [];
afterEach(() => {
  for (const cleanup of cleanups.splice(0)) cleanup();
});

/** Sends one request with the token and returns its status; rejects if the connection fails. */
function status(method: string, pathname: string, agent: http.Agent | false, json?: object): Promise<number> {
  const headers = { Authorization: `Bearer ${TOKEN}`, ...(json ? { "Content-Type": "application/json" } : {}) };
  return new Promise((resolve, reject) => {
    const request = http.request({ host: "127.0.0.1", port, method, path: pathname, headers, agent }, (response) => {
      response.resume();
      response.on("end", () => resolve(response.statusCode ?? 0));
      response.on("error", reject);
    });
    request.on("error", reject);
    request.end(json && JSON.stringify(json));
  });
}

/** Starts clients that send requests until `end` is called; `outcomes` has the status or the error of each request. */
function startLoad() {
  const outcomes: string[] = [];
  const agents: http.Agent[] = [];
  let running = true;
  const ask = async (...request: Parameters<typeof status>) =>
    outcomes.push(await status(...request).then(String, (error: Error) => `${request[0]}: ${error.message}`));
  const keptAlive = () => {
    const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
    agents.push(agent);
    return agent;
  };
  const repeat = async (step: () => Promise<unknown>) => {
    while (running) await step();
  };
  const runAndRemove = (name: string, agent: http.Agent) => async () => {
    await ask("PUT", "/", agent, { image: "busybox", name, detach: true, data: "sleep 1000" });
    await ask("DELETE", `/${name}`, agent);
  };
  const clients = [
    repeat(() => ask("GET", "/health", false)),
    repeat(() => ask("GET", "/", false)),
    ...[keptAlive(), keptAlive(), keptAlive()].map((agent) => repeat(() => ask("GET", "/", agent))),
    ...["load-1", "load-2"].map((name) => repeat(runAndRemove(name, keptAlive()))),
  ];
  return {
    outcomes,
    async end() {
      running = false;
      await Promise.all(clients);
      for (const agent of agents) agent.destroy();
    },
  };
}

/** Number of requests by outcome. */
function countByOutcome(outcomes: string[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const outcome of outcomes) counts[outcome] = (counts[outcome] ?? 0) + 1;
  return counts;
}

/** A registry that accepts connections and never responds, so that a pull from it doesn't end. */
async function silentRegistry() {
  const connections: net.Socket[] = [];
  cleanups.push(() => {
    server.close();
    for (const connection of connections) connection.destroy();
  });
  const server = net.createServer((socket) => void connections.push(socket.on("error", () => undefined)));
  await new Promise<void>((resolve) => server.listen(0, ROOT_ADDRESS, resolve));
  return {
    host: `${ROOT_ADDRESS}:${(server.address() as net.AddressInfo).port}`,
    connectionCount: () => connections.length,
  };
}

async function pidOfOnlyProcess(): Promise<number> {
  const listed = await pm2.list();
  expect(listed).toMatchObject([{ name: "docker-server", status: "online", mode: "cluster_mode" }]);
  return listed[0]?.pid ?? 0;
}

test("`pm2 start` waits until the server is ready, with settings from DS_ variables and a file", async () => {
  const started = await pm2.pm2(["start", pm2.config], env);
  expect(started.code).toBe(0);
  expect(await status("GET", "/", false)).toBe(200);
  const pid = await pidOfOnlyProcess();
  expect(readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", "")).toBe("docker-server");
});

test("the server's rotated logs lie beside pm2's, which repeat no line", async () => {
  expect(pm2.log("docker-server.log")).toMatch(/INFO listening on http/);
  expect(pm2.log("actions.jsonl")).toContain('"GET"');
  expect(existsSync(path.join(pm2.home, "logs/docker-server-out-0.log"))).toBe(false);
});

test("`pm2 reload` under load fails no request, and all are logged", async () => {
  const pidBefore = await pidOfOnlyProcess();
  const countLoggedRequests = () => pm2.log("actions.jsonl").trim().split("\n").length;
  const loggedBefore = countLoggedRequests();
  const load = startLoad();
  const waitForRequests = (count: number) => {
    const goal = load.outcomes.length + count;
    return until(() => load.outcomes.length >= goal, WAIT_TIMEOUT_MS);
  };
  expect(await waitForRequests(200)).toBe(true);
  for (let reload = 0; reload < 3; reload++) {
    expect((await pm2.pm2(["reload", "docker-server"])).code).toBe(0);
    expect(await waitForRequests(200)).toBe(true);
  }
  const pidAfter = await pidOfOnlyProcess();
  await load.end();
  expect(countByOutcome(load.outcomes)).toEqual({ "200": load.outcomes.length });
  expect(pidAfter).not.toBe(pidBefore);
  expect(await until(() => hasEnded(pidBefore), WAIT_TIMEOUT_MS)).toBe(true);
  await until(() => countLoggedRequests() >= loggedBefore + load.outcomes.length, WAIT_TIMEOUT_MS);
  expect(countLoggedRequests()).toBe(loggedBefore + load.outcomes.length);
});

test("`pm2 stop` answers running requests before the end", async () => {
  const pid = await pidOfOnlyProcess();
  const registry = await silentRegistry();
  const pulling = status("HEAD", `/${registry.host}/image`, false);
  expect(await until(() => registry.connectionCount() > 0, WAIT_TIMEOUT_MS)).toBe(true);
  const json = { image: "busybox", name: "under-way", data: "sleep 1000" };
  const answer = status("PUT", "/", false, json);
  const isRunning = async () => (await engine.docker(["ps", "--quiet", "--filter", "name=under-way"])).stdout !== "";
  expect(await until(isRunning, WAIT_TIMEOUT_MS)).toBe(true);
  expect((await pm2.pm2(["stop", "docker-server"])).code).toBe(0);
  expect(await answer).toBe(202);
  expect(await pulling).toBe(202);
  expect(await isRunning()).toBe(true);
  expect(hasEnded(pid)).toBe(true);
  expect(await accepts(port)).toBe(false);
  expect(await pm2.list()).toMatchObject([{ status: "stopped" }]);
  expect(pm2.log("docker-server.log")).toContain("stopping at SIGINT");
});

test("wrong settings are reported once, without restarts by pm2", async () => {
  await pm2.pm2(["delete", "all"]);
  await pm2.pm2(["start", pm2.config], { ...env, DS_PORT: "no-port" });
  expect(await until(async () => (await pm2.list())[0]?.status === "stopped", WAIT_TIMEOUT_MS)).toBe(true);
  expect(await pm2.list()).toMatchObject([{ restarts: 0 }]);
  expect(pm2.log("docker-server-error-0.log")).toMatch(/^docker-server: DS_PORT must be a number[^\n]*\n$/);
});

test("`pm2 kill` leaves nothing running", async () => {
  await pm2.pm2(["delete", "all"]);
  await pm2.pm2(["start", pm2.config], env);
  const pid = await pidOfOnlyProcess();
  await pm2.pm2(["kill"]);
  expect(await until(() => hasEnded(pid), WAIT_TIMEOUT_MS)).toBe(true);
  expect(await accepts(port)).toBe(false);
});
