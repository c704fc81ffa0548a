import http from "node:http";
import { freePorts } from "../../support/ports";
import { pushImage, type Registry, startRegistry } from "../../support/registry";
import { type OneNode, startNode } from "../../support/single-node";
import { openTerminal } from "../../support/terminal";

const LOGIN = { username: "alice", password: "secret-Wd4" };

let node: OneNode;
let registry: Registry;
let guarded: Registry;
beforeAll(async () => {
  node = await startNode({ name: "refused" });
  registry = await startRegistry();
  guarded = await startRegistry({ users: { [LOGIN.username]: LOGIN.password } });
  await pushImage(node.engine, guarded, "busybox:latest", LOGIN);
});
afterAll(async () => {
  await node?.stop();
  await Promise.all([registry?.stop(), guarded?.stop()]);
});
afterEach(async () => {
  for (const name of await node.names()) await node.docker("rm", "--force", name);
});

const put = (json: Record<string, unknown>) => node.request("PUT", "/", { json: { image: "busybox", data: "true", ...json } });

test("a missing image is 404 with every pull policy", async () => {
  const never = await put({ image: "not-here", pull: "never" });
  expect(never.json).toMatchObject({
    status: 404,
    error: "not_found",
    code: "IMAGE_NOT_FOUND",
    message: expect.stringContaining("not-here:latest"),
  });
  const pulled = await put({ image: `${registry.host}/not-there:1` });
  expect(pulled.json).toMatchObject({ status: 404, error: "not_found", code: "IMAGE_NOT_FOUND" });
  expect(await node.names()).toEqual([]);
});

test("an image that the registry denies is 403, an unreachable registry 502", async () => {
  expect((await put({ image: `${guarded.host}/busybox` })).json).toMatchObject({ status: 403, error: "forbidden", code: "IMAGE_DENIED" });
  const [port] = await freePorts(1);
  const away = await put({ image: `${registry.host.split(":")[0]}:${port}/busybox` });
  expect(away.json).toMatchObject({ status: 502, error: "upstream_error", code: "REGISTRY_UNREACHABLE" });
  expect(await node.names()).toEqual([]);
});

test("pull=always asks the registry even if the image is present", async () => {
  await node.docker("tag", "busybox", `${registry.host}/local-only:1`);
  expect((await put({ image: `${registry.host}/local-only:1` })).json).toMatchObject({ exit_code: 0 });
  expect((await put({ image: `${registry.host}/local-only:1`, pull: "always" })).json).toMatchObject({ status: 404 });
});

test("a taken name is 409, and its container is unchanged", async () => {
  await put({ name: "mine", detach: true, data: "sleep 1000" });
  const { Id } = await node.inspect("mine");
  expect((await put({ name: "mine" })).json).toMatchObject({ status: 409, error: "conflict", code: "NAME_TAKEN" });
  expect(await node.inspect("mine")).toMatchObject({ Id, State: { Running: true } });
});

test("of ten concurrent runs with one name exactly one is created", async () => {
  const answers = await Promise.all(Array.from({ length: 10 }, () => put({ name: "wanted", detach: true, data: "sleep 1000" })));
  expect(answers.map(({ status }) => status).sort()).toEqual([200, ...Array(9).fill(409)]);
  expect(await node.names()).toEqual(["wanted"]);
});

test("a port taken by a container is 409 and leaves no container", async () => {
  await put({ name: "holder", detach: true, data: "sleep 1000", ports: { 7001: 80 } });
  expect((await put({ name: "late", ports: { 7001: 80 } })).json).toMatchObject({ status: 409, error: "conflict", code: "PORT_TAKEN" });
  expect(await node.names()).toEqual(["holder"]);
});

test("a port taken by a host process is 409 and leaves no container", async () => {
  const [command = "", ...args] = node.engine.inside(["busybox", "nc", "-l", "-p", "7002"]);
  const { spawn } = await import("node:child_process");
  const holder = spawn(command, args, { stdio: "ignore" });
  try {
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect((await put({ name: "late", detach: true, ports: { 7002: 80 } })).json).toMatchObject({ status: 409, code: "PORT_TAKEN" });
    expect(await node.names()).toEqual([]);
  } finally {
    holder.kill("SIGKILL");
  }
});

test.each([
  ["a command that is not there", { data: "/no/such/command" }],
  ["a command that is not in PATH", { data: "nosuchcommand" }],
  ["a folder as command", { data: "/etc" }],
  ["a file that can't be executed", { data: "/etc/passwd" }],
  ["an unknown user", { user: "nobody-by-this-name" }],
  ["an unknown network", { network: "no-such-net" }],
  ["an unknown ulimit", { ulimits: { nonsense: 5 } }],
  ["memory below the least", { memory: "1k" }],
  ["a mount onto the root", { volumes: { "/tmp": "/" } }],
])("%s is 400 in foreground and detached runs, and leaves no container", async (_what, fields) => {
  for (const detach of [false, true]) {
    expect((await put({ ...fields, detach })).json).toMatchObject({
      status: 400,
      error: "validation_error",
      message: expect.stringMatching(/\S/),
    });
    expect(await node.names()).toEqual([]);
  }
});

test("the network of a missing container is 404 with its name and leaves no container", async () => {
  expect((await put({ network: "container:no-such" })).json).toMatchObject({ status: 404, message: expect.stringContaining("no-such") });
  expect(await node.names()).toEqual([]);
});

test.each([
  ["image", { image: undefined }],
  ["image", { image: "--privileged" }],
  ["image", { image: 7 }],
  ["name", { name: "-v" }],
  ["name", { name: "a b" }],
  ["name", { name: ["list"] }],
  ["remove", { remove: "perhaps" }],
  ["detach", { detach: 3 }],
  ["ports.80", { ports: { 80: "eighty" } }],
  ["ports.x", { ports: { x: 80 } }],
  ["ports.0", { ports: ["80:80:80"] }],
  ["ports", { ports: 80 }],
  ["volumes.relative/path", { volumes: { "relative/path": "/data" } }],
  ["volumes./tmp", { volumes: { "/tmp": "relative" } }],
  ["volumes./tmp", { volumes: { "/tmp": "/data:exec" } }],
  ["data", { data: { command: "echo" } }],
  ["data", { data: 5 }],
  ["env.A=B", { env: { "A=B": "c" } }],
  ["env.A", { env: { A: { deep: 1 } } }],
  ["env.A", { env: { A: "\0" } }],
  ["labels", { labels: 5 }],
  ["restart", { restart: "sometimes" }],
  ["memory", { memory: "lots" }],
  ["cpus", { cpus: -1 }],
  ["pids", { pids: 1.5 }],
  ["workdir", { workdir: "relative" }],
  ["hostname", { hostname: "not a host" }],
  ["pull", { pull: "sometimes" }],
  ["tmpfs.relative", { tmpfs: { relative: "" } }],
  ["healthcheck.interval", { healthcheck: { interval: "soon" } }],
  ["healthcheck.colour", { healthcheck: { colour: "red" } }],
  ["entrypoint", { entrypoint: "'open" }],
  ["colour", { colour: "red" }],
])("the field %s of %j is refused and named", async (field, fields) => {
  const { json } = await put(fields);
  expect(json).toMatchObject({ status: 400, error: "validation_error", details: { field }, message: expect.stringContaining(field) });
});

test.each([
  ["privileged", { privileged: true }],
  ["network", { network: "host" }],
  ["pid", { pid: "host" }],
  ["ipc", { ipc: "host" }],
  ["uts", { uts: "host" }],
  ["userns", { userns: "host" }],
  ["devices", { devices: ["/dev/null"] }],
  ["cap_add", { cap_add: ["CAP_SYS_ADMIN"] }],
  ["cap_add", { cap_add: ["all"] }],
  ["volumes", { volumes: { "/var/run/docker.sock": "/s" } }],
  ["volumes", { volumes: { "/": "/host" } }],
  ["volumes", { volumes: { "/tmp/../var/./run": "/s" } }],
  ["volumes", { volumes: { "/proc/1/root": "/host" } }],
])("%s is refused by the policy: %j", async (field, fields) => {
  expect((await put(fields)).json).toMatchObject({ status: 403, error: "forbidden", details: { field, allow: expect.any(String) } });
  expect(await node.names()).toEqual([]);
});

describe("containers of others with more than the policy permits", () => {
  const OTHERS: [string, string[], string][] = [
    ["the host's namespaces", ["--network=host", "--pid=host"], "host_namespaces"],
    ["the engine's socket", ["--volume=/run:/host-run"], "docker_socket"],
    ["a namespace of such a container", ["--pid=container:other-root"], "capabilities"],
  ];
  beforeEach(() => node.docker("run", "-d", "--name=other-root", "--cap-add=NET_ADMIN", "busybox", "sleep", "1000"));

  test.each(OTHERS)("with %s: nobody joins, enters or starts them", async (_what, options, allow) => {
    await node.docker("run", "-d", "--name=other", ...options, "busybox", "sleep", "1000");
    const refused = (field: string) => ({ status: 403, code: "NOT_ALLOWED", details: { field, allow } });
    const joins = allow === "capabilities" ? ["pid"] : ["network", "pid"];
    for (const field of joins) expect([field, (await put({ [field]: "container:other" })).json]).toMatchObject([field, refused(field)]);
    for (const [method, path, json] of [
      ["POST", "/other", { data: "id" }],
      ["POST", "/containers/other/exec", { command: "id" }],
      ["GET", "/containers/other/files?path=/", undefined],
      ["GET", "/containers/other/download?path=/etc/passwd", undefined],
      ["POST", "/containers/other/restart", undefined],
    ] as const) {
      expect([path, (await node.request(method, path, { json })).json]).toMatchObject([path, refused("id")]);
    }
    await expect(openTerminal(node.server.url, "/ws/other?cols=80")).rejects.toThrow(/403.*NOT_ALLOWED/);
    expect((await node.request("POST", "/containers/other/stop?timeout=0")).status).toBe(200);
  });
});

test("the network of a container with devices and capabilities, such as a VPN, can be joined", async () => {
  await node.docker("run", "-d", "--name=vpn", "--cap-add=NET_ADMIN", "--device=/dev/null", "busybox", "sleep", "1000");
  expect((await put({ network: "container:vpn" })).json).toMatchObject({ exit_code: 0 });
});

test("a volume whose options bind a host folder is refused like the folder", async () => {
  const device = node.engine.folder;
  await node.docker("volume", "create", "--opt", "type=none", "--opt", "o=bind", "--opt", `device=${device}`, "disguised");
  expect((await put({ volumes: { disguised: "/data" } })).json).toMatchObject({ status: 403, details: { field: "volumes" } });
});

test("an image id and a name in different case are handled exactly", async () => {
  const id = await node.docker("image", "inspect", "--format", "{{.Id}}", "busybox");
  expect((await put({ image: id, data: "echo by id" })).json).toMatchObject({ stdout: "by id\n" });
  expect((await put({ image: "BusyBox" })).json).toMatchObject({ status: 400, details: { field: "image" } });
});

test("a body that is not JSON, not an object or of another type is 400 with a JSON error", async () => {
  const send = (body: string, type?: string) =>
    new Promise<{ status: number | undefined; type: string | undefined; code: string }>((resolve, reject) => {
      const headers = { "X-Access-Token": "test-token-Zq7", ...(type === undefined ? {} : { "Content-Type": type }) };
      const request = http.request(node.server.url, { method: "PUT", headers }, async (response) => {
        let text = "";
        for await (const part of response) text += part;
        resolve({ status: response.statusCode, type: response.headers["content-type"], code: JSON.parse(text).code });
      });
      request.on("error", reject);
      request.end(body);
    });
  for (const [body, type] of [
    ['{"image": "busybox"', "application/json"],
    ["[1,2]", "application/json"],
    ["null", "application/json"],
    ["<image/>", "application/xml"],
    ["image=busybox", undefined],
    ['{"image":"busybox"}', "application/x-www-form-urlencoded"],
    ["a[b][c][d][e][f][g]=1", "application/x-www-form-urlencoded"],
    ['{"image":"busybox"}', "application/json; charset=nonsense"],
  ] as const) {
    const answer = await send(body, type);
    expect([body, answer.status, answer.type]).toEqual([body, 400, "application/json; charset=utf-8"]);
  }
});
