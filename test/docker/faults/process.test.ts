import http from "node:http";
import { until } from "../../../scripts/process";
import { type Engine, leaseEngine } from "../../support/engine";
import { importBusybox } from "../../support/images";
import { startServer, type TestServer, TOKEN } from "../../support/server";
import { dockerOf } from "../../support/single-node";

const WAIT_TIMEOUT_MS = 20_000;

let engine: Engine;
let server: TestServer;
beforeAll(async () => {
  engine = await leaseEngine({ name: "process-faults" });
  await importBusybox(engine);
});
afterAll(() => engine?.stop());
beforeEach(async () => {
  server = await startServer({ engine, args: ["--stop_timeout=3"] });
});
afterEach(() => server?.stop());

const docker = (...args: string[]) => dockerOf(engine, args);
const isRunning = async (name: string) => (await docker("ps", "--filter", `name=^${name}$`, "--format", "{{.State}}")) === "running";

test("a server that is killed and started again serves the same containers", async () => {
  await server.request("PUT", "/", {
    json: { image: "busybox", name: "kept", detach: true, data: "sh -c 'echo here; sleep 1000'", labels: { a: "b" } },
  });
  const before = (await server.request("GET", "/")).json;
  const { port, folder } = server;
  // Killed while it serves three clients.
  const brokenOff = Array.from({ length: 3 }, (_, index) =>
    server.request("PUT", "/", { json: { image: "busybox", name: `cut-${index}`, data: "sleep 1000" } }).catch(() => "cut"),
  );
  expect(await until(() => isRunning("cut-0"), WAIT_TIMEOUT_MS)).toBe(true);
  await server.process.end("SIGKILL");
  expect(await Promise.all(brokenOff)).toEqual(["cut", "cut", "cut"]);
  server = await startServer({ engine, port, folder });
  const after = (await server.request("GET", "/")).json;
  const kept = (list: { name: string }[]) => list.filter(({ name }) => name === "kept").map((each) => ({ ...each, status: "" }));
  expect(kept(after)).toEqual(kept(before));
  expect(kept(after)).toHaveLength(1);
  expect((await server.request("GET", "/kept")).json).toMatchObject({ stdout: "here\n" });
  expect((await server.request("POST", "/kept", { json: { data: "echo still" } })).json).toMatchObject({ stdout: "still\n" });
  expect((await server.request("DELETE", "/kept")).status).toBe(200);
  expect((await server.request("DELETE", "/cut-0")).status).toBe(200);
});

test("SIGTERM during a foreground run answers 202, and the container keeps running", async () => {
  const answer = server.request("PUT", "/", { json: { image: "busybox", name: "outlives", data: "sleep 1000" } });
  expect(await until(() => isRunning("outlives"), WAIT_TIMEOUT_MS)).toBe(true);
  server.process.signal("SIGTERM");
  expect(await answer).toMatchObject({ status: 202, json: { name: "outlives", status: "running" } });
  expect(await until(() => !server.process.running(), WAIT_TIMEOUT_MS)).toBe(true);
  expect(await isRunning("outlives")).toBe(true);
});

test("SIGTERM during an exec answers 202, and the command keeps running", async () => {
  await docker("run", "-d", "--name", "box", "busybox", "sleep", "1000");
  const answer = server.request("POST", "/box", { json: { data: "sh -c 'touch /begun; sleep 3; touch /ended'" } });
  expect(await until(async () => (await engine.docker(["exec", "box", "test", "-e", "/begun"])).code === 0, WAIT_TIMEOUT_MS)).toBe(true);
  server.process.signal("SIGTERM");
  expect(await answer).toMatchObject({ status: 202, json: { running: true, exit_code: null } });
  expect(await until(async () => (await engine.docker(["exec", "box", "test", "-e", "/ended"])).code === 0, WAIT_TIMEOUT_MS)).toBe(true);
});

test("SIGTERM during a followed log ends the response and the process", async () => {
  await docker("run", "-d", "--name", "talker", "busybox", "sh", "-c", "while :; do date; sleep 0.1; done");
  const response = await fetch(`${server.url}/talker?follow=true`, { headers: { Authorization: `Bearer ${TOKEN}` } });
  const text = response.text().catch(() => "cut");
  server.process.signal("SIGTERM");
  await text;
  expect(await until(() => !server.process.running(), WAIT_TIMEOUT_MS)).toBe(true);
  expect(server.output()).toContain("stopping at SIGTERM");
});

test("SIGTERM under load fails no request on a kept connection", async () => {
  const outcomes: string[] = [];
  const clients = Array.from({ length: 16 }, async () => {
    const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
    let outcome = "200";
    while (outcome === "200") {
      outcome = await get(agent);
      outcomes.push(outcome);
    }
    agent.destroy();
  });
  await until(() => outcomes.length > 500, WAIT_TIMEOUT_MS);
  server.process.signal("SIGTERM");
  await Promise.all(clients);
  // Each client sends requests until its connection is refused, and sees no other error.
  expect([...new Set(outcomes)].sort()).toEqual(["200", "ECONNREFUSED"]);
  expect(outcomes.filter((outcome) => outcome === "ECONNREFUSED")).toHaveLength(16);
  expect(await until(() => !server.process.running(), WAIT_TIMEOUT_MS)).toBe(true);
});

test("SIGINT stops the server like SIGTERM, and a second signal changes nothing", async () => {
  const answer = server.request("PUT", "/", { json: { image: "busybox", name: "twice", data: "sleep 1000" } });
  expect(await until(() => isRunning("twice"), WAIT_TIMEOUT_MS)).toBe(true);
  server.process.signal("SIGINT");
  server.process.signal("SIGTERM");
  expect((await answer).status).toBe(202);
  expect(await until(() => !server.process.running(), WAIT_TIMEOUT_MS)).toBe(true);
});

test("DOCKER_HOST selects the engine", async () => {
  const name = "only-on-this-engine";
  await docker("create", "--name", name, "busybox", "true");
  expect((await server.request("GET", `/${name}`)).status).toBe(200);
  expect((await server.request("PUT", "/", { json: { image: "busybox", name: "made-here", data: "true" } })).status).toBe(200);
  expect(await docker("ps", "--all", "--format", "{{.Names}}")).toContain("made-here");
});

function get(agent: http.Agent): Promise<string> {
  return new Promise((resolve) => {
    const headers = { Authorization: `Bearer ${TOKEN}` };
    const request = http.get(`${server.url}/`, { agent, headers }, (response) => {
      response.resume();
      response.on("error", () => resolve("broken answer"));
      response.on("end", () => resolve(String(response.statusCode)));
    });
    request.on("error", (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
  });
}
