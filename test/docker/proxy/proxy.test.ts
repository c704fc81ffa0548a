import { createHash, randomUUID } from "node:crypto";
import http from "node:http";
import { until } from "../../../scripts/process";
import { TOKEN } from "../../support/server";
import { auditEntries, type OneNode, residentMemory, startNode } from "../../support/single-node";
import { gotHeader, startWeb } from "../../support/web-container";

let node: OneNode;
let id: string;
const web = `web-${randomUUID().slice(0, 8)}`;

beforeAll(async () => {
  node = await startNode({ name: "proxy", inside: true, args: ["--proxy_timeout=2"] });
  id = await startWeb(node.engine, web);
});

afterAll(() => node?.stop());

const get = (path: string, headers: Record<string, string> = {}) => node.request("GET", `/proxy/${web}${path}`, { headers });

/** Starts a request; `response` resolves at the response head. */
function startRequest(method: string, path: string, headers: http.OutgoingHttpHeaders = {}) {
  const { hostname, port } = new URL(node.server.url);
  const request = http.request({ hostname, port, method, path: `/proxy/${web}${path}`, headers: { "X-Access-Token": TOKEN, ...headers } });
  const response = new Promise<http.IncomingMessage>((resolve, reject) => request.once("response", resolve).on("error", reject));
  response.catch(() => undefined);
  return { request, response };
}

async function textOf(stream: AsyncIterable<Buffer>): Promise<string> {
  let text = "";
  for await (const chunk of stream) text += chunk;
  return text;
}

test("GET /proxy/{id} returns the address of the container's port", async () => {
  const { status, json } = await node.request("GET", `/proxy/${web}?port=81`);
  expect([status, json.container_id, json.container_port]).toEqual([200, id, 81]);
  expect(json.upstream).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/);
});

test.each(["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])("%s is forwarded with its path and query unchanged", async (method) => {
  const target = "/a%2Fb//c/%7e..%2e/;x=1/?q=%20+%26&a[]=1&port=7&&node=no";
  const { status, json } = await node.request(method, `/proxy/${id.slice(0, 12)}${target}`);
  expect([status, json.method, json.url]).toEqual([200, method, target]);
});

test("HEAD returns headers without a body, and its connection is reused", async () => {
  const { response, request } = startRequest("HEAD", "/bytes?size=5000");
  request.end();
  const { statusCode, headers } = await response;
  expect([statusCode, headers["content-length"]]).toEqual([200, "5000"]);
  expect((await node.request("HEAD", `/proxy/${web}/status?code=304`)).status).toBe(304);
});

test("?port= chooses one of several published ports and is removed, any other value is forwarded", async () => {
  expect((await get("/x?a=1&port=80&b=2")).json.url).toBe("/x?a=1&b=2");
  expect((await get("/x?port=80")).json.url).toBe("/x");
  expect((await get("/x?port=8080&port=80")).json.url).toBe("/x?port=8080&port=80");
});

test("errors and redirects of the container are forwarded unchanged", async () => {
  for (const code of [301, 404, 418, 500, 503]) {
    const { response, request } = startRequest("GET", `/status?code=${code}`);
    request.end();
    const received = await response;
    expect([received.statusCode, received.statusMessage, received.headers["x-own"], received.headers.location]).toEqual([
      code,
      "As It Is",
      "kept",
      "http://elsewhere.example/",
    ]);
    expect(await textOf(received)).toBe("own body");
  }
});

test("forwarding headers describe the client, and the client's own claims are dropped", async () => {
  const clientClaims = { "X-Forwarded-For": "1.2.3.4", "X-Forwarded-Proto": "gopher", "X-Real-IP": "1.2.3.4", Forwarded: "for=1.2.3.4" };
  const { json } = await get("/", clientClaims);
  expect(gotHeader(json, "x-forwarded-for")).toMatch(/^10\.99\.0\.254$/);
  expect(gotHeader(json, "x-forwarded-proto")).toBe("http");
  expect(gotHeader(json, "x-forwarded-host")).toBe(new URL(node.server.url).host);
  expect(gotHeader(json, "x-forwarded-prefix")).toBe(`/proxy/${web}`);
  expect(gotHeader(json, "host")).toMatch(/^127\.0\.0\.1:\d+$/);
  expect([gotHeader(json, "x-real-ip"), gotHeader(json, "forwarded")]).toEqual([undefined, undefined]);
});

test("credentials for this server are withheld from the container, unless requested otherwise", async () => {
  const receivedCredentials = (json: { rawHeaders: string[] }) => [gotHeader(json, "authorization"), gotHeader(json, "x-access-token")];
  expect(receivedCredentials((await get("/")).json)).toEqual([undefined, undefined]);
  expect(receivedCredentials((await get("/", { "X-Forward-Authorization": "true" })).json)).toEqual([`Bearer ${TOKEN}`, undefined]);
  const token = { "X-Access-Token": TOKEN };
  expect(receivedCredentials((await get("/", { ...token, Authorization: "Bearer its-own" })).json)).toEqual(["Bearer its-own", undefined]);
  expect(receivedCredentials((await get("/", { ...token, Authorization: `Bearer ${TOKEN}` })).json)).toEqual([undefined, undefined]);
  const { json } = await get("/", { Cookie: "a=1; docker-server-proxy=secret; b=2", "X-Docker-Server-Peer": "forged" });
  expect([gotHeader(json, "cookie"), gotHeader(json, "x-docker-server-peer")]).toEqual(["a=1; b=2", undefined]);
});

test("large bodies stream both ways unchanged with bounded memory", async () => {
  const size = 300_000_000;
  const memoryBefore = residentMemory(node.server.process.pid);
  const { response, request } = startRequest("GET", `/bytes?size=${size}`);
  request.end();
  let receivedBytes = 0;
  for await (const chunk of await response) receivedBytes += chunk.length;
  expect(receivedBytes).toBe(size);
  const upload = startRequest("PUT", "/", { "Transfer-Encoding": "chunked" });
  const hash = createHash("sha256");
  const chunk = Buffer.alloc(1_000_000, "x");
  for (let count = 0; count < 100; count++) {
    hash.update(chunk);
    if (!upload.request.write(chunk)) await new Promise((resolve) => upload.request.once("drain", resolve));
  }
  upload.request.end();
  const json = JSON.parse(await textOf(await upload.response));
  expect([json.bytes, json.sha256]).toEqual([100_000_000, hash.digest("hex")]);
  expect(residentMemory(node.server.process.pid) - memoryBefore).toBeLessThan(150);
});

test("a client that doesn't read slows the container down, and memory stays bounded", async () => {
  const memoryBefore = residentMemory(node.server.process.pid);
  const { response, request } = startRequest("GET", "/bytes?size=1000000000&chunked");
  request.end();
  const stream = await response;
  stream.once("data", () => stream.pause());
  await new Promise((resolve) => setTimeout(resolve, 1000));
  expect(residentMemory(node.server.process.pid) - memoryBefore).toBeLessThan(100);
  request.destroy();
});

test("events stream one by one in both directions, and an idle stream stays open", async () => {
  const { request, response } = startRequest("POST", "/events", { "Transfer-Encoding": "chunked" });
  request.flushHeaders();
  const stream = await response;
  for (const line of ["one", "two", "three"]) {
    const event = new Promise((resolve) => stream.once("data", resolve));
    // Longer than the response timeout.
    if (line === "three") await new Promise((resolve) => setTimeout(resolve, 2500));
    request.write(`${line}\n`);
    expect(String(await event)).toBe(`data: ${line}\n\n`);
  }
  request.end();
  expect(await textOf(stream)).toBe("");
});

test("unknown container 404, stopped 409, nothing published 400, timeout 504, nothing listening 502", async () => {
  expect((await node.request("GET", "/proxy/no-such/x")).json).toMatchObject({ status: 404, code: "CONTAINER_NOT_FOUND" });
  expect((await node.request("GET", "/proxy/x%2F..%2Fy/")).json).toMatchObject({ status: 404, code: "CONTAINER_NOT_FOUND" });
  const stopped = await node.docker("create", "--publish", "80", "busybox", "sleep", "600");
  expect((await node.request("GET", `/proxy/${stopped}/x`)).json).toMatchObject({ status: 409, code: "NOT_RUNNING" });
  const withoutPort = await node.docker("run", "--detach", "busybox", "sleep", "600");
  expect((await node.request("GET", `/proxy/${withoutPort}/x`)).json).toMatchObject({ status: 400, code: "NO_PORT" });
  expect((await get("/slow")).json).toMatchObject({ status: 504, code: "UPSTREAM_TIMEOUT" });
  const notListening = await node.docker("run", "--detach", "--publish", "80", "busybox", "sleep", "600");
  // Docker's own proxy sometimes ends the connection, and sometimes resets it.
  for (let tries = 0; tries < 6; tries += 1)
    expect((await node.request("GET", `/proxy/${notListening}/x`)).json).toMatchObject({
      status: 502,
      message: expect.stringMatching(/as when nothing listens at the port$/),
    });
});

test("a client that disconnects ends the request at the container", async () => {
  const openConnections = async () => Number((await node.docker("exec", web, "wget", "-q", "-O", "-", "http://127.0.0.1/open")).trim()) - 1;
  expect(await until(async () => (await openConnections()) === 0, 20_000)).toBe(true);
  const { request, response } = startRequest("GET", "/endless");
  request.end();
  await response;
  expect(await until(async () => (await openConnections()) === 1, 20_000)).toBe(true);
  request.destroy();
  expect(await until(async () => (await openConnections()) === 0, 20_000)).toBe(true);
});

test.each(["/endless", "/endless?length"])(
  "removing the container during %s breaks the response off, and the next request is 404",
  async (path) => {
    const name = `removed-${randomUUID().slice(0, 8)}`;
    await startWeb(node.engine, name);
    const stream = await fetch(`${node.server.url}/proxy/${name}${path}`, { headers: { "X-Access-Token": TOKEN } });
    const reader = (stream.body as ReadableStream).getReader();
    await reader.read();
    await node.docker("rm", "--force", name);
    // Bytes that were sent before the removal may still arrive.
    const readRest = async () => {
      while (!(await reader.read()).done);
    };
    await expect(readRest()).rejects.toThrow();
    expect((await node.request("GET", `/proxy/${name}/`)).status).toBe(404);
  },
);

test("a restarted container is found again at its new port", async () => {
  await get("/");
  await node.docker("restart", "--time", "0", web);
  expect(await until(async () => (await get("/")).status === 200, 20_000)).toBe(true);
});

test("each proxied request has a line in the audit log", async () => {
  expect((await get("/status?code=200&secret=hidden")).status).toBe(200);
  // The line is written after the response.
  const entry = () =>
    auditEntries(node.server)
      .filter(({ path }) => path === `/proxy/${web}/status`)
      .at(-1);
  expect(await until(() => entry()?.status === 200, 10_000)).toBe(true);
  expect(entry()).toMatchObject({ method: "GET", status: 200, user: expect.stringMatching(/^token-/) });
  expect(JSON.stringify(entry())).not.toContain("hidden");
});
