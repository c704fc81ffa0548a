import { readdirSync, readFileSync } from "node:fs";
import http from "node:http";
import type { AddressInfo } from "node:net";
import path from "node:path";
import { run } from "../../../scripts/process";
import { ROOT_ADDRESS } from "../../support/bed";
import { importRunner } from "../../support/images";
import { pushImage, type Registry, startRegistry } from "../../support/registry";
import { startServer } from "../../support/server";
import { everythingLogged, type OneNode, startNode } from "../../support/single-node";

const LOGIN = { username: "alice", password: "secret-Wd4" };
const KEY = JSON.stringify({ type: "service_account", private_key: "-----BEGIN PRIVATE KEY-----\nabc\n" });

let node: OneNode;
let registry: Registry;
let image: string;
beforeAll(async () => {
  node = await startNode({ name: "runs-registry", args: ["--pull_wait=20"] });
  registry = await startRegistry({ users: { [LOGIN.username]: LOGIN.password, _json_key: KEY } });
  image = await pushImage(node.engine, registry, "busybox:latest", LOGIN);
});
afterAll(async () => {
  await node?.stop();
  await registry?.stop();
});
beforeEach(async () => {
  await node.engine.docker(["rmi", image]);
});

const runIt = (more: object) => node.request("POST", "/run", { json: { image, command: "echo ran", ...more } });

test("a protected image runs with the right login, for any form of the address", async () => {
  for (const serveraddress of [undefined, registry.host, `https://${registry.host}`, `http://${registry.host}/v1/`]) {
    expect((await runIt({ auth_config: { ...LOGIN, email: "a@example.com", serveraddress } })).json).toMatchObject({
      status: "success",
      stdout: "ran\n",
    });
    await node.docker("rmi", image);
  }
});

test("a base64 key reaches the registry as JSON", async () => {
  const password = Buffer.from(KEY).toString("base64");
  expect((await runIt({ auth_config: { username: "_json_key", password, serveraddress: registry.host } })).json.stdout).toBe("ran\n");
});

test("without a valid login for its registry an image is refused, even if it is local", async () => {
  const wrong = { ...LOGIN, password: "wrong" };
  const elsewhere = { ...LOGIN, serveraddress: "https://index.docker.io/v1/" };
  for (const auth_config of [undefined, wrong, elsewhere])
    expect((await runIt({ auth_config })).json).toMatchObject({ status: 403, code: "IMAGE_DENIED" });
  await runIt({ auth_config: LOGIN });
  expect((await runIt({ auth_config: wrong })).json).toMatchObject({ status: 403, code: "IMAGE_DENIED" });
});

test("an image missing in the registry is a 404", async () => {
  const { json } = await runIt({ image: `${registry.host}/none:1`, auth_config: LOGIN });
  expect(json).toMatchObject({ status: 404, code: "IMAGE_NOT_FOUND" });
});

test("pull_policy missing uses the local image, always asks the registry", async () => {
  expect((await runIt({ auth_config: LOGIN, pull_policy: "missing" })).json.stdout).toBe("ran\n");
  expect((await runIt({ pull_policy: "missing" })).json.stdout).toBe("ran\n");
  expect((await runIt({ pull_policy: "always" })).status).toBe(403);
});

test("an unreachable registry is a warning with a local image, else a 502", async () => {
  const other = await startRegistry();
  const there = await pushImage(node.engine, other, "busybox:latest");
  expect((await runIt({ image: there })).json.stdout).toBe("ran\n");
  await other.stop();
  for (const auth_config of [undefined, LOGIN]) {
    const { json } = await runIt({ image: there, auth_config });
    expect(json).toMatchObject({ status: "success", stdout: "ran\n", warnings: [expect.stringContaining("can't be reached")] });
  }
  await node.docker("rmi", there);
  expect((await runIt({ image: there })).json).toMatchObject({ status: 502, code: "REGISTRY_UNREACHABLE" });
});

test("a code run's image is pulled once if missing, and otherwise used as it is", async () => {
  const open = await startRegistry();
  await importRunner(node.engine);
  const runner = await pushImage(node.engine, open, "code-runner:latest");
  const ask = (image: string) => node.request("POST", "/run", { json: { image, payload: { script: "ZWNobyBoaQ==" } } });
  try {
    const answers = await Promise.all([ask(runner), ask(runner), ask(runner)]);
    for (const { status, json } of answers) expect([status, json.stdout]).toEqual([200, "hi"]);
    expect((await ask(`${open.host}/none:1`)).json).toMatchObject({ status: 404, code: "IMAGE_NOT_FOUND" });
    expect((await ask(image)).json).toMatchObject({ status: 403, code: "IMAGE_DENIED" });
  } finally {
    await open.stop();
  }
  // Without the registry.
  expect((await ask(runner)).json.stdout).toBe("hi");
  expect((await ask(`${runner}-gone`)).json).toMatchObject({ status: 502, code: "REGISTRY_UNREACHABLE" });
});

test("a slow registry gives 202 and the repeat joins, and a local image runs", async () => {
  const silent = http.createServer(() => undefined);
  await new Promise<void>((resolve) => silent.listen(0, ROOT_ADDRESS, resolve));
  const slow = `${ROOT_ADDRESS}:${(silent.address() as AddressInfo).port}/app:1`;
  const server = await startServer({ engine: node.engine, args: ["--pull_wait=1"] });
  try {
    const ask = () => server.request("POST", "/run", { json: { image: slow, command: "echo ran", auth_config: LOGIN } });
    for (const answer of [await ask(), await server.request("POST", "/run", { json: { image: slow, payload: {} } })]) {
      expect([answer.status, answer.json]).toEqual([202, { status: "pulling", image: slow, host: expect.any(String) }]);
    }
    await node.docker("tag", "busybox", slow);
    expect((await ask()).json).toMatchObject({ stdout: "ran\n", warnings: [expect.stringContaining("slow")] });
  } finally {
    silent.closeAllConnections();
    silent.close();
    await server.stop("SIGKILL");
    await node.docker("rmi", slow);
  }
});

test("logins are in no log, argument or file of the engine", async () => {
  const spied: string[] = [];
  const spy = setInterval(async () => spied.push((await run("ps", ["-eo", "args"])).stdout), 20);
  await runIt({ auth_config: LOGIN });
  await runIt({ auth_config: { ...LOGIN, password: `${LOGIN.password}-wrong` } });
  clearInterval(spy);
  const encoded = Buffer.from(LOGIN.password).toString("base64").slice(0, -4);
  const files = readdirSync(node.engine.folder, { recursive: true, withFileTypes: true }).filter(
    (each) => each.isFile() && /\.(json|log)$/.test(each.name),
  );
  const texts = [
    everythingLogged(node.server),
    ...spied,
    ...files.map((each) => readFileSync(path.join(each.parentPath, each.name), "utf8")),
  ];
  expect(files.length).toBeGreaterThan(0);
  expect(texts.filter((text) => text.includes(LOGIN.password) || text.includes(encoded))).toEqual([]);
});
