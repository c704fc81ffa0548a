import { spawn } from "node:child_process";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import path from "node:path";
import { freePorts } from "../../support/ports";
import { cliSettings, MANIFESTS, pushImage, pushVariant, type Registry, startRegistry } from "../../support/registry";
import { startServer, type TestServer } from "../../support/server";
import { type OneNode, startNode } from "../../support/single-node";
import { type StallingProxy, stallingProxy } from "../../support/stalling-proxy";

const LOGIN = { username: "alice", password: "secret-Wd4" };

let node: OneNode;
let registry: Registry;
let guarded: Registry;
let knowing: TestServer;
let proxy: StallingProxy;
beforeAll(async () => {
  node = await startNode({ name: "pull", ownEngine: true, args: ["--pull_wait=1"] });
  registry = await startRegistry();
  guarded = await startRegistry({ users: { [LOGIN.username]: LOGIN.password } });
  proxy = await stallingProxy(registry);
  await node.docker("tag", "busybox", "busybox:1");
  await node.docker("tag", "busybox", "team/deep/app:1.2");
  for (const name of ["busybox:1", "busybox:latest", "team/deep/app:1.2"]) await pushImage(node.engine, registry, name);
  await pushImage(node.engine, guarded, "busybox:1", LOGIN);
  knowing = await startServer({ engine: node.engine, env: { DOCKER_CONFIG: cliSettings(node.engine.folder, guarded, LOGIN) } });
});
afterAll(async () => {
  await knowing?.stop();
  await proxy?.stop();
  await node?.stop();
  await Promise.all([registry?.stop(), guarded?.stop()]);
});

async function pull(reference: string, server: Pick<TestServer, "request"> = node) {
  const { status, headers, text } = await server.request("HEAD", `/${reference}`);
  expect(text).toBe("");
  return {
    status,
    digest: headers.get("docker-content-digest"),
    code: headers.get("x-error-code"),
    message: headers.get("x-error-message"),
    headers,
  };
}

async function digestIn(name: string, tag: string): Promise<string> {
  const headers = { Accept: MANIFESTS };
  const answer = await fetch(`http://${registry.host}/v2/${name}/manifests/${tag}`, { method: "HEAD", headers });
  return answer.headers.get("docker-content-digest") ?? "";
}

const has = async (reference: string) => (await node.engine.docker(["image", "inspect", reference])).code === 0;

test.each([
  ["host, port and tag", "busybox:1", "busybox", "1"],
  ["no tag, which is latest", "busybox", "busybox", "latest"],
  ["a path of several parts", "team/deep/app:1.2", "team/deep/app", "1.2"],
])("a reference with %s is pulled, and the registry's digest is in the header", async (_form, path, name, tag) => {
  const answer = await pull(`${registry.host}/${path}`);
  expect(answer.status).toBe(200);
  expect(answer.digest).toBe(await digestIn(name, tag));
  expect(answer.headers.get("x-image-id")).toBe(
    await node.docker("image", "inspect", "--format", "{{.Id}}", `${registry.host}/${name}:${tag}`),
  );
});

test("a reference by digest is pulled", async () => {
  const digest = await digestIn("busybox", "1");
  expect(await pull(`${registry.host}/busybox@${digest}`)).toMatchObject({ status: 200, digest });
  expect(await has(`${registry.host}/busybox@${digest}`)).toBe(true);
});

test("a repeated pull is 200", async () => {
  const first = await pull(`${registry.host}/busybox:1`);
  expect(await pull(`${registry.host}/busybox:1`)).toMatchObject({ status: 200, digest: first.digest });
});

test("HEAD /localhost:PORT/busybox:1 pulls from the registry on the engine's host", async () => {
  const [port = 0] = await freePorts(1);
  const [address = "", onward = ""] = registry.host.split(":");
  // Forwards loopback of the engine's network to the registry, as if it ran on the engine's host.
  const script = `require("net").createServer(c => { const u = require("net").connect(${onward}, "${address}"); c.pipe(u).pipe(c); for (const s of [c, u]) s.on("error", () => { c.destroy(); u.destroy(); }); }).listen(${port}, "127.0.0.1", () => console.log("ready"))`;
  const [command = "", ...args] = node.engine.inside([process.execPath, "-e", script]);
  const forwarder = spawn(command, args, { stdio: ["ignore", "pipe", "inherit"] });
  try {
    await once(forwarder.stdout, "data");
    expect((await pull(`localhost:${port}/busybox:1`)).status).toBe(200);
    expect(await has(`localhost:${port}/busybox:1`)).toBe(true);
  } finally {
    forwarder.kill("SIGKILL");
  }
});

test("an image missing in the registry is 404 with the reason in headers", async () => {
  expect(await pull(`${registry.host}/busybox:none`)).toMatchObject({
    status: 404,
    code: "IMAGE_NOT_FOUND",
    message: expect.stringContaining("none"),
  });
  expect(await pull(`${registry.host}/nobody/nothing`)).toMatchObject({ status: 404, code: "IMAGE_NOT_FOUND" });
});

test.each(["Upper/Case:1", "a//b", "-v", "--help", "busybox:ta%20g", "busybox@sha256:12", "a:b:c", "busybox%00", "%F0%9F%90%B3"])(
  "the malformed reference %s is 400 without asking any registry",
  async (reference) => {
    expect(await pull(reference)).toMatchObject({ status: 400, message: expect.stringContaining("image") });
  },
);

test("an unreachable registry is 502", async () => {
  const [port] = await freePorts(1);
  const [address] = registry.host.split(":");
  expect(await pull(`${address}:${port}/busybox:1`)).toMatchObject({
    status: 502,
    code: "REGISTRY_UNREACHABLE",
    message: expect.stringMatching(/refused/),
  });
});

test("a registry with a password is 403 without it, and serves a host that has logged in", async () => {
  expect(await pull(`${guarded.host}/busybox:1`)).toMatchObject({ status: 403, code: "IMAGE_DENIED" });
  expect(await pull(`${guarded.host}/busybox:1`, knowing)).toMatchObject({ status: 200, digest: await digestIn("busybox", "1") });
});

test("a credential helper gets the environment variables that a setting names", async () => {
  const folder = cliSettings(node.engine.folder, guarded);
  writeFileSync(path.join(folder, "config.json"), JSON.stringify({ credHelpers: { [guarded.host]: "by-key" } }));
  const { username, password } = LOGIN;
  const script = `#!/bin/sh\n[ "$HELPER_KEY" = open ] && echo '${JSON.stringify({ Username: username, Secret: password })}'\n`;
  writeFileSync(path.join(folder, "docker-credential-by-key"), script, { mode: 0o755 });
  const env = { DOCKER_CONFIG: folder, PATH: `${folder}:${process.env.PATH}`, HELPER_KEY: "open" };
  const server = await startServer({ engine: node.engine, args: ["--docker_cli_env=HELPER_KEY"], env });
  expect((await pull(`${guarded.host}/busybox:1`, server)).status).toBe(200);
  await server.stop();
});

test("an artifact that is no image is a 400 wherever it is pulled", async () => {
  const manifest = "application/vnd.oci.image.manifest.v1+json";
  await pushVariant(registry, ["busybox", "1", "chart"], () => ({ name: "chart" }), {
    manifest,
    config: "application/vnd.cncf.helm.config.v1+json",
  });
  const image = `${registry.host}/busybox:chart`;
  expect(await pull(image)).toMatchObject({ status: 400, code: "NOT_AN_IMAGE" });
  for (const [method, place, more] of [
    ["POST", "/images/pull", {}],
    ["POST", "/run", {}],
    ["POST", "/run", { payload: {} }],
    ["PUT", "/", {}],
    ["POST", "/containers/run", { container_port: 80 }],
    ["POST", "/containers", {}],
  ] as const) {
    const { json } = await node.request(method, place, { json: { image, ...more } });
    expect([place, json]).toMatchObject([place, { status: 400, code: "NOT_AN_IMAGE" }]);
  }
  const live = await node.request("POST", "/images/pull", { json: { image }, headers: { Accept: "application/x-ndjson" } });
  expect(live.text).toContain("NOT_AN_IMAGE");
});

test("an image that is there for another platform is pulled for the platform of the run", async () => {
  const image = `${registry.host}/busybox:arm`;
  await pushVariant(registry, ["busybox", "1", "arm"], (config) => ({ ...config, architecture: "arm64" }));
  const platform = "linux/arm64";
  const architecture = () => node.docker("image", "inspect", "--format", "{{.Architecture}}", image);
  const requests = [
    ["PUT", "/", { platform, remove: true, data: "true" }],
    ["POST", "/run", { platform, pull_policy: "missing", command: "true" }],
    ["POST", "/images/pull", { platform }],
  ] as const;
  for (const [method, place, body] of requests) {
    await node.docker("tag", "busybox", image);
    expect(await architecture()).toBe("amd64");
    expect((await node.request(method, place, { json: { image, ...body } })).status).toBe(200);
    expect(await architecture()).toBe("arm64");
  }
});

test("a slow pull is 202 and continues, a repeat joins it, and after its end it is 200", async () => {
  const reference = `${proxy.host}/busybox:1`;
  const first = await pull(reference);
  expect([first.status, first.headers.get("x-pull-status")]).toEqual([202, "pulling"]);
  const asked = proxy.requests();
  expect(asked).toBeGreaterThan(0);
  const repeats = await Promise.all([pull(reference), pull(reference), pull(reference)]);
  expect(repeats.map(({ status }) => status)).toEqual([202, 202, 202]);
  expect(proxy.requests()).toBe(asked);
  const last = pull(reference);
  proxy.release();
  expect(await last).toMatchObject({ status: 200, digest: await digestIn("busybox", "1") });
});

test("a run with a slow pull is 202, and starts after the pull", async () => {
  const slow = await stallingProxy(registry);
  try {
    const answer = await node.request("PUT", "/", {
      json: { image: `${slow.host}/team/deep/app:1.2`, name: "awaited", data: "sleep 1000", detach: true },
    });
    expect([answer.status, answer.json.status]).toEqual([202, "pulling"]);
    expect(await node.names()).toEqual([]);
    slow.release();
    await waitFor(async () => (await node.docker("ps", "--format", "{{.Names}}")) === "awaited");
  } finally {
    await slow.stop();
  }
});

test("HEAD of an API path pulls nothing and does no work", async () => {
  expect((await pull("")).status).toBe(200);
  expect((await pull("version")).status).toBe(200);
  expect((await pull("openapi.json")).status).toBe(200);
  expect((await pull("images")).status).toBe(200);
  expect((await pull("console")).status).toBe(200);
  expect(await pull("run/busybox")).toMatchObject({ status: 404, code: "ROUTE_NOT_FOUND" });
  expect(await pull("v1.43/images/json")).toMatchObject({ status: 404, code: "ROUTE_NOT_FOUND" });
  await node.engine.kill();
  try {
    // They would fail if they called the engine, as GET does.
    expect([(await pull("")).status, (await pull("version")).status]).toEqual([200, 200]);
    expect((await node.request("GET", "/version")).status).toBe(503);
    expect((await pull("health")).status).toBe(503);
  } finally {
    await node.engine.restart();
  }
});

async function waitFor(probe: () => Promise<boolean>): Promise<void> {
  for (let tries = 0; tries < 100; tries++) {
    if (await probe()) return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error("it did not come to pass");
}
