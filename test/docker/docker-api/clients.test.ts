import { randomUUID } from "node:crypto";
import Docker from "dockerode";
import { until } from "../../../scripts/process";
import { configWithHeaders, dockerAt } from "../../support/docker-commands";
import { connectRaw, head } from "../../support/raw-http";
import { TOKEN } from "../../support/server";
import { auditEntries, type OneNode, startNode } from "../../support/single-node";

let node: OneNode;
let socket: string;
const tag = randomUUID().slice(0, 6);

beforeAll(async () => {
  socket = `/tmp/docker-server-${tag}.sock`;
  node = await startNode({ name: "docker-clients", args: [`--docker_listen=unix://${socket}`] });
  await node.docker("run", "-d", "--name", `c-${tag}`, "--label", "team=a", "busybox", "sleep", "1000");
  await node.docker("run", "-d", "--name", `d-${tag}`, "busybox", "sleep", "1000");
});

afterAll(() => node?.stop());

const create = (json: unknown, query = "") => node.request("POST", `/v1.41/containers/create${query}`, { json });

test("the main port asks for credentials, and answers errors in the engine's form", async () => {
  expect(await node.request("GET", "/v1.41/info", { anonymous: true })).toMatchObject({
    status: 401,
    json: { message: expect.stringContaining("the docker CLI sends the HttpHeaders of its config.json") },
  });
  const ping = await node.request("GET", "/_ping");
  expect([ping.status, ping.text, ping.headers.get("api-version")]).toEqual([200, "OK", expect.stringMatching(/^1\.\d+$/)]);
  const unknown = await node.request("GET", "/v1.41/nosuch");
  expect([unknown.status, unknown.headers.get("content-type"), unknown.json]).toEqual([
    404,
    "application/json",
    { message: "page not found" },
  ]);
  expect((await node.request("GET", "/v1.23/info")).status).toBe(400);
  const config = configWithHeaders({ "X-Access-Token": TOKEN });
  const { stdout } = await dockerAt(node.server.url.replace("http", "tcp"), { args: "ps --format '{{.Names}}'" }, tag, { config });
  expect(stdout).toContain(`c-${tag}`);
  // The line is written after the response.
  const isAudited = () => auditEntries(node.server).some(({ path, status }) => path.endsWith("/containers/json") && status === 200);
  expect(await until(isAudited, 10_000)).toBe(true);
});

test("a container's new name is refused in the engine's words: another's, its own, and one that can't be a name", async () => {
  const rename = async (to: string) => {
    const { status, json } = await node.request("POST", `/v1.41/containers/c-${tag}/rename?name=${encodeURIComponent(to)}`);
    return [status, json?.message];
  };
  const [id] = (await node.docker("inspect", "--format", "{{.Id}}", `d-${tag}`)).split("\n");
  expect(await rename(`d-${tag}`)).toEqual([409, expect.stringContaining(`"/d-${tag}" is already in use by container "${id}"`)]);
  expect(await rename(`c-${tag}`)).toEqual([expect.any(Number), expect.stringMatching(/same name as its current name/)]);
  expect(await rename("no(name")).toEqual([expect.any(Number), expect.stringMatching(/Invalid container name \(\/?no\(name\)/)]);
  const made = await create({ Image: "busybox" }, "?name=no(name");
  expect([made.status, made.json.message]).toEqual([400, expect.stringMatching(/Invalid container name \(\/?no\(name\)/)]);
});

test("docker ps -l lists the latest container that a client has made, with a narrow token the latest that it may see", async () => {
  await node.docker("create", "--name", "docker-server-job-latest", "busybox");
  const latest = async (headers: Record<string, string>) => {
    const config = configWithHeaders(headers);
    return (await dockerAt(node.server.url.replace("http", "tcp"), { args: "ps --latest --format '{{.Names}}'" }, tag, { config })).stdout;
  };
  expect(await latest({ "X-Access-Token": TOKEN })).toBe(`d-${tag}\n`);
  const caveats = { expires: "1h", can: ["read"], labels: { team: "a" } };
  const { token } = (await node.request("POST", "/tokens", { json: caveats })).json;
  expect(await latest({ "X-Access-Token": token })).toBe(`c-${tag}\n`);
  await node.docker("rm", "docker-server-job-latest");
});

test.each([
  ["privileged", { HostConfig: { Privileged: true } }, 403],
  ["in another spelling", { hostconfig: { privileged: true } }, 400],
  ["the socket of the engine", { HostConfig: { Binds: ["/var/run/docker.sock:/s"] } }, 403],
  ["a folder above a socket", { HostConfig: { Mounts: [{ Type: "bind", Source: "/run", Target: "/r" }] } }, 403],
  ["the host's network", { HostConfig: { NetworkMode: "host" } }, 403],
  ["an unknown field", { HostConfig: { Nosuch: 1 } }, 400],
])("a create with %s is refused", async (_, body, status) => {
  expect((await create({ Image: "busybox", ...body })).status).toBe(status);
});

test("this server's own socket can't be mounted", async () => {
  expect((await create({ Image: "busybox", HostConfig: { Binds: [`${socket}:/s`] } })).status).toBe(403);
  expect((await node.request("POST", "/v1.41/containers/create?name=a&name=b", { json: { Image: "busybox" } })).status).toBe(400);
  expect((await node.request("POST", `/v1.41/containers/c-${tag}/exec`, { json: { Cmd: ["id"], Privileged: true } })).status).toBe(403);
  expect((await node.request("POST", "/v1.41/images/create?fromSrc=http://127.0.0.1/x")).status).toBe(403);
  expect((await node.request("POST", "/v1.41/build?remote=http://127.0.0.1/x")).status).toBe(403);
});

test("a token with labels sees and enters only what has them", async () => {
  const made = await node.request("POST", "/tokens", {
    json: { can: ["read", "exec", "logs", "containers", "run"], labels: { team: "a" }, expires: Math.floor(Date.now() / 1000) + 600 },
  });
  const { token } = made.json as { token: string };
  const ask = (method: string, path: string, json?: unknown) =>
    node.request(method, `/v1.41${path}`, {
      anonymous: true,
      headers: { Authorization: `Bearer ${token}` },
      ...(json === undefined ? {} : { json }),
    });
  expect((await ask("GET", "/containers/json?all=1")).json.map(({ Names }: { Names: string[] }) => Names)).toEqual([[`/c-${tag}`]]);
  expect((await ask("GET", `/containers/c-${tag}/json`)).status).toBe(200);
  expect((await ask("GET", `/containers/d-${tag}/json`)).status).toBe(404);
  expect((await ask("POST", `/containers/d-${tag}/exec`, { Cmd: ["id"] })).status).toBe(404);
  expect((await ask("GET", "/events?until=1")).status).toBe(403);
  expect((await ask("PUT", `/containers/c-${tag}/archive?path=/`)).status).toBe(403);
  const exec = await node.request("POST", `/v1.41/containers/d-${tag}/exec`, { json: { Cmd: ["id"] } });
  expect((await ask("POST", `/exec/${exec.json.Id}/start`, {})).status).toBe(404);
});

test("an exec's raw stream goes both ways without an upgrade too, and its input can end first", async () => {
  const { json } = await node.request("POST", `/v1.41/containers/c-${tag}/exec`, {
    json: { Cmd: ["sh", "-c", "cat; sleep 1; echo ended"], AttachStdin: true, AttachStdout: true },
  });
  const connection = connectRaw(node.server, new URL(node.server.url).hostname);
  const body = JSON.stringify({ Detach: false, Tty: false });
  const lines = { "X-Access-Token": TOKEN, "Content-Type": "application/json", "Content-Length": String(body.length) };
  connection.send(head("POST", `/v1.41/exec/${json.Id}/start`, lines) + body);
  await connection.receives(/raw-stream\r\n[\s\S]*\r\n\r\n/);
  connection.send("GET /v1.41/info HTTP/1.1\r\n\r\n");
  expect(await connection.receives(/GET \/v1\.41\/info HTTP\/1\.1\r\n\r\n/)).toMatch(/^HTTP\/1\.1 200 OK\r\n/);
  connection.end();
});

describe("dockerode", () => {
  const hosts = (): [string, Docker][] => [
    ["the engine", new Docker({ socketPath: node.engine.socket })],
    ["the pool", new Docker({ socketPath: socket })],
  ];
  const script = ["sh", "-c", 'read line; echo "got $line"; cat; echo ended'];

  test.each([true, false])("sends input to an attached container and an exec and gets all output, with hijack %s", async (hijack) => {
    for (const [where, docker] of hosts()) {
      const streams = { stream: true, stdin: true, stdout: true, stderr: true };
      const container = await docker.createContainer({ Image: "busybox", Cmd: script, Tty: false, OpenStdin: true, StdinOnce: true });
      const attached = await container.attach({ ...streams, hijack });
      await container.start();
      const exec = await docker.getContainer(`c-${tag}`).exec({ Cmd: script, AttachStdin: true, AttachStdout: true, AttachStderr: true });
      const entered = await exec.start({ hijack, stdin: true });
      for (const stream of [attached, entered]) {
        const [output, waits] = [[] as Buffer[], { got: false }];
        stream.on("data", (chunk: Buffer) => {
          output.push(chunk);
          waits.got ||= Buffer.concat(output).includes("got input\n");
        });
        stream.write("input\n");
        expect([where, hijack, await until(async () => waits.got, 20_000)]).toEqual([where, hijack, true]);
        // Without hijack dockerode ends the whole connection with the input.
        stream.end("more\n");
        if (!hijack) continue;
        expect([where, await until(async () => Buffer.concat(output).includes("ended\n"), 20_000)]).toEqual([where, true]);
        expect(Buffer.concat(output).toString()).toContain("more\n");
      }
      await container.remove({ force: true });
    }
  });
});
