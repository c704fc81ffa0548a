import { run, until } from "../../../scripts/process";
import { importWeb } from "../../support/images";
import { BASIC, curl, type OneNode, startNode } from "../../support/single-node";

const DEADLINE_MS = 30_000;

let node: OneNode;
let base: string;
beforeAll(async () => {
  node = await startNode({ name: "resources", ownEngine: true, inside: true });
  base = node.server.url;
  await importWeb(node.engine);
});
afterAll(() => node?.stop());
afterEach(async () => {
  const remaining = await node.docker("ps", "--all", "--quiet");
  if (remaining !== "") await node.docker("rm", "--force", ...remaining.split("\n"));
});

const example = (method: string, pathname: string, ...more: string[]) => curl("-X", method, `${base}${pathname}`, "-H", BASIC, ...more);
const JSON_BODY = ["-H", "content-type: application/json", "-d"];
const post = (pathname: string, body: object) => example("POST", pathname, ...JSON_BODY, JSON.stringify(body));

/** Fetches from a port of the host's loopback address. */
async function fetchFromHost(port: number, path = "/"): Promise<string> {
  const [command = "", ...args] = node.engine.inside(["curl", "-s", `http://127.0.0.1:${port}${path}`]);
  return (await run(command, args)).stdout;
}

test("the quick start works: run, use, list, inspect, stop, start, remove", async () => {
  const ran = await post("/containers/run", { image: "nginx:latest", container_port: 80, name: "my-nginx" });
  expect(ran.status).toBe(200);
  const { id, host_port } = ran.json;
  expect(ran.json).toEqual({
    id: expect.stringMatching(/^[0-9a-f]{64}$/),
    name: "my-nginx",
    image: "nginx:latest",
    status: "running",
    labels: expect.objectContaining({ "dockapi.managed": "true", "dockapi.name": "my-nginx", "dockapi.container_port": "80" }),
    host_port: expect.any(Number),
    container_port: 80,
    host: expect.any(String),
  });
  expect(await until(async () => (await fetchFromHost(host_port)) === "hello\n", DEADLINE_MS)).toBe(true);
  // Published on the loopback address only.
  expect((await node.inspect(id)).HostConfig.PortBindings).toEqual({ "80/tcp": [{ HostIp: "127.0.0.1", HostPort: "" }] });

  expect((await example("GET", "/containers")).json).toMatchObject({
    containers: [{ id, name: "my-nginx", host_port }],
    next_cursor: null,
  });
  expect((await example("GET", `/containers/${id}`)).json).toMatchObject({ id, name: "my-nginx", status: "running", host_port });
  expect((await example("POST", `/containers/${id}/stop?timeout=0`)).json).toMatchObject({ id, status: "exited", host_port: null });
  expect((await example("POST", `/containers/${id}/start`)).json).toMatchObject({ id, status: "running", container_port: 80 });
  const removed = await example("DELETE", `/containers/${id}`);
  expect([removed.status, removed.json]).toMatchObject([200, { id, name: "my-nginx", removed: true }]);
  expect(await node.names()).toEqual([]);
});

test("the curl example waits until the container is ready", async () => {
  const body = { image: "nginx:latest", container_port: 80, host_port: 0, name: "nginx-demo", wait_ready: true, health_path: "/" };
  const { status, json } = await post("/containers/run", body);
  expect([status, json.status]).toEqual([200, "running"]);
  expect(await fetchFromHost(json.host_port)).toBe("hello\n");
});

test("the documented body with all fields runs, with warnings about conflicting fields", async () => {
  await node.docker("network", "create", "my-network");
  const { status, json } = await post("/containers/run", {
    image: "nginx:latest",
    container_port: 8080,
    host_port: 18080,
    name: "optional-name",
    env: { KEY: "VALUE" },
    command: ["sh", "-c", "mkdir /www; echo $KEY > /www/healthz; exec httpd -f -p 8080 -h /www"],
    auto_remove: true,
    detach: true,
    restart_policy: "unless-stopped",
    volumes: ["C:/host/data:/data:ro"],
    network: "my-network",
    wait_ready: true,
    health_path: "/healthz",
    wait_timeout: 30,
  });
  expect([status, json]).toMatchObject([200, { host_port: 18080, warnings: [expect.stringContaining("restart_policy")] }]);
  expect(await fetchFromHost(18080, "/healthz")).toBe("VALUE\n");
  const { HostConfig, NetworkSettings, Mounts } = await node.inspect("optional-name");
  expect(HostConfig).toMatchObject({ AutoRemove: true, RestartPolicy: { Name: "no" } });
  expect(Object.keys(NetworkSettings.Networks)).toEqual(["my-network"]);
  expect(Mounts).toMatchObject([{ Type: "bind", Source: "/c/host/data", Destination: "/data", RW: false }]);
  const stopped = await example("POST", "/containers/optional-name/stop?timeout=0");
  expect([stopped.status, stopped.json]).toMatchObject([200, { name: "optional-name", status: expect.stringMatching(/exited|removing/) }]);
  expect(await until(async () => (await node.names()).length === 0, DEADLINE_MS)).toBe(true);
  await node.docker("network", "rm", "my-network");
  await run("rmdir", ["--parents", "--ignore-fail-on-non-empty", "/c/host/data"]);
});

test("logs: the last lines, and following until the container ends", async () => {
  const command = ["sh", "-c", "for i in $(seq 300); do echo line $i; done; while [ ! -e /go ]; do sleep 0.1; done; echo over"];
  const { json } = await post("/containers/run", { image: "nginx:latest", container_port: 80, command });
  await until(async () => (await example("GET", `/containers/${json.id}/logs`)).body.includes("line 300\n"), DEADLINE_MS);
  const last = await example("GET", `/containers/${json.id}/logs?tail=100`);
  expect(last.headers["content-type"]).toBe("text/plain; charset=utf-8");
  expect(last.body.split("\n")).toHaveLength(101);
  expect((await example("GET", `/containers/${json.id}/logs?tail=200&follow=false`)).body).toMatch(/^line 101\n/);
  const following = curl("-N", `${base}/containers/${json.id}/logs?follow=true&tail=100`, "-H", BASIC);
  await post(`/containers/${json.id}/exec`, { command: "touch /go" });
  expect((await following).body).toMatch(/^line 201\n.*line 300\nover\n$/s);
});

test("exec: list or text, working directory, variables, separate output streams", async () => {
  const { json } = await post("/containers/run", { image: "nginx:latest", container_port: 80 });
  const documented = await post(`/containers/${json.id}/exec`, {
    command: ["ls", "-la", "/"],
    workdir: "/",
    env: { DEMO: "1" },
    tty: false,
  });
  expect([documented.status, documented.json]).toMatchObject([200, { id: json.id, exit_code: 0, stderr: null }]);
  expect(documented.json.stdout).toContain(" bin");
  expect((await post(`/containers/${json.id}/exec`, { command: "ls -la /" })).json.stdout).toContain(" bin");
  const apart = { command: ["sh", "-c", "pwd; echo $DEMO >&2; exit 3"], workdir: "/bin", env: { DEMO: "1" } };
  expect((await post(`/containers/${json.id}/exec`, apart)).json).toMatchObject({ exit_code: 3, stdout: "/bin\n", stderr: "1\n" });
  expect((await post(`/containers/${json.id}/exec`, { command: "tty", tty: true })).json.stdout).toContain("/dev/pts/");
});

test("healthz requires credentials, and is a 503 while the engine is frozen", async () => {
  expect((await curl(`${base}/healthz`)).status).toBe(401);
  expect((await example("GET", "/healthz")).json).toMatchObject({ status: "ok", docker: "ok", docker_version: expect.any(String) });
  node.engine.freeze();
  try {
    expect(await until(async () => (await example("GET", "/healthz")).status === 503, DEADLINE_MS)).toBe(true);
  } finally {
    node.engine.thaw();
  }
  expect(await until(async () => (await example("GET", "/healthz")).status === 200, DEADLINE_MS)).toBe(true);
});

describe("the documented errors", () => {
  const service = { image: "nginx:latest", container_port: 80 };

  test.each<[string, object, string]>([
    ["no image", { container_port: 80 }, "MISSING_IMAGE"],
    ["no port", { image: "nginx:latest" }, "MISSING_CONTAINER_PORT"],
    ["an invalid port", { ...service, container_port: 70_000 }, "INVALID_CONTAINER_PORT"],
    ["an invalid volume", { ...service, volumes: ["data"] }, "INVALID_VOLUMES"],
    ["a volume with a relative target", { ...service, volumes: ["/data:data"] }, "INVALID_VOLUMES"],
    ["a volume with an unknown option", { ...service, volumes: ["C:/host/data:/data:exec"] }, "INVALID_VOLUMES"],
    ["a duplicate source", { ...service, volumes: ["/a:/b", "/a:/c"] }, "INVALID_VOLUMES"],
    ["an unknown restart policy", { ...service, restart_policy: "sometimes" }, "INVALID_RESTART_POLICY"],
    ["an invalid health path", { ...service, wait_ready: true, health_path: "//x y" }, "INVALID_HEALTH_PATH"],
    ["an unknown network", { ...service, network: "nowhere" }, "INVALID_SPEC"],
    ["waiting for both readiness and end", { ...service, wait_ready: true, health_path: "/", detach: false }, "INVALID_WAIT_READY"],
  ])("%s is a 400 and leaves nothing behind", async (_description, body, code) => {
    const { status, json } = await post("/containers/run", body);
    expect([status, json]).toMatchObject([400, { error: "validation_error", code }]);
    expect(await node.names()).toEqual([]);
  });

  test("a taken port is a 400 and leaves nothing behind; a taken name is a 409", async () => {
    await post("/containers/run", { ...service, name: "first", host_port: 18081 });
    const port = await post("/containers/run", { ...service, name: "second", host_port: 18081 });
    expect([port.status, port.json]).toMatchObject([400, { error: "validation_error", code: "PORT_TAKEN" }]);
    expect((await post("/containers/run", { ...service, name: "first" })).json).toMatchObject({ status: 409, code: "NAME_TAKEN" });
    expect(await node.names()).toEqual(["first"]);
  });

  test("options that the policy refuses are a 403", async () => {
    for (const more of [{ network: "host" }, { volumes: ["/var/run/docker.sock:/s"] }, { volumes: ["/:/host:ro"] }])
      expect((await post("/containers/run", { ...service, ...more })).json).toMatchObject({ status: 403, code: "NOT_ALLOWED" });
  });

  test.each([
    ["GET", ""],
    ["DELETE", ""],
    ["POST", "/start"],
    ["POST", "/stop"],
    ["GET", "/logs"],
    ["GET", "/stats"],
    ["GET", "/top"],
  ])("%s /containers/{id}%s of an unknown container is a 404", async (method, path) => {
    expect((await example(method, `/containers/none${path}`)).json).toMatchObject({ status: 404, code: "CONTAINER_NOT_FOUND" });
  });

  test("a container not ready in time is a 504 with its last logs; it is kept unless auto_remove is set", async () => {
    const slow = { ...service, command: ["sh", "-c", "echo not yet; sleep 1000"], wait_ready: true, health_path: "/", wait_timeout: 1 };
    const late = await post("/containers/run", { ...slow, name: "stays" });
    expect([late.status, late.json]).toMatchObject([504, { error: "readiness", code: "NOT_READY", details: { logs: "not yet\n" } }]);
    expect((await post("/containers/run", { ...slow, name: "goes", auto_remove: true })).status).toBe(504);
    expect(await node.names()).toEqual(["stays"]);
  });

  test("a container that answers without 2xx is not ready", async () => {
    const { status, json } = await post("/containers/run", { ...service, wait_ready: true, health_path: "/none", wait_timeout: 1 });
    expect([status, json.message]).toEqual([504, expect.stringContaining("404")]);
  });

  test("the wait for readiness ends when the container ends", async () => {
    const body = { ...service, command: "sh -c 'echo broken; exit 3'", wait_ready: true, health_path: "/", wait_timeout: 600 };
    expect((await post("/containers/run", body)).json).toMatchObject({ status: 504, details: { logs: "broken\n" } });
  });
});
