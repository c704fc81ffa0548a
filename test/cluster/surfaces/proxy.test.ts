import { createHash, randomUUID } from "node:crypto";
import http from "node:http";
import WebSocket from "ws";
import { until } from "../../../scripts/process";
import { startCluster, type TestCluster, type TestNode } from "../../support/cluster";
import { connectRaw, head } from "../../support/raw-http";
import { TOKEN } from "../../support/server";
import { gotHeader, rawPath, startWeb } from "../../support/web-container";

let cluster: TestCluster;
let holder: TestNode;
let other: TestNode;
const web = `web-${randomUUID().slice(0, 8)}`;

beforeAll(async () => {
  cluster = await startCluster({ size: 2, args: ["--proxy_timeout=4", "--peer_timeout=1500"] });
  [holder, other] = cluster.nodes as [TestNode, TestNode];
  await startWeb(holder.engine, web);
});

afterAll(() => cluster?.stop());

function open(method: string, path: string, headers: http.OutgoingHttpHeaders = {}) {
  const { hostname, port } = new URL(other.server.url);
  const request = http.request({ hostname, port, method, path: `/proxy/${web}${path}`, headers: { "X-Access-Token": TOKEN, ...headers } });
  const answer = new Promise<http.IncomingMessage>((resolve, reject) => request.once("response", resolve).on("error", reject));
  answer.catch(() => undefined);
  return { request, answer };
}

const get = async (path: string) => {
  const { request, answer } = open("GET", path);
  request.end();
  return answer;
};

/** The number of bytes until the end; throws if the stream breaks off. */
async function bytesOf(stream: http.IncomingMessage): Promise<number> {
  let bytes = 0;
  for await (const chunk of stream) bytes += chunk.length;
  return bytes;
}

test("a request for a container of another node is forwarded to that node", async () => {
  const { status, json, headers } = await other.request("POST", `/proxy/${web}/a%2Fb?q=%20&port=80`, { json: { a: 1 } });
  expect([status, json.method, json.url, json.bytes]).toEqual([200, "POST", "/a%2Fb?q=%20", 7]);
  expect(gotHeader(json, "x-forwarded-for")).toBe("10.99.0.254");
  expect(gotHeader(json, "x-forwarded-host")).toBe(new URL(other.server.url).host);
  expect(gotHeader(json, "via")).toBe("1.1 docker-server");
  expect([gotHeader(json, "authorization"), gotHeader(json, "x-docker-server-peer")]).toEqual([undefined, undefined]);
  expect(headers.get("content-security-policy")).toMatch(/^sandbox /);
  // Both nodes use one id.
  expect(headers.get("x-request-id")).toBe(gotHeader(json, "x-request-id"));
});

/** Makes the container send this response, and returns what a client of the other node received up to the end of the connection. */
async function forwardedResponse(response: string): Promise<string> {
  const connection = connectRaw(other.server, new URL(other.server.url).hostname);
  connection.send(head("GET", rawPath(web, response), { "X-Access-Token": TOKEN, Connection: "close", TE: "trailers" }));
  expect(await until(connection.closed, 20_000)).toBe(true);
  return connection.received();
}

test("through another node, a container's 1xx responses without end are 502", async () => {
  const progress = "HTTP/1.1 102 Processing\r\n\r\n";
  const final = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
  expect(await forwardedResponse(progress.repeat(100) + final)).toMatch(/\r\n\r\nok$/);
  expect(await forwardedResponse(progress.repeat(101) + final)).toMatch(/HTTP\/1\.1 502 [\s\S]*UPSTREAM_FAILED/);
});

test("through another node, no header says more than this server lets it", async () => {
  const noContent = await forwardedResponse("HTTP/1.1 204 No Content\r\nContent-Length: 7\r\nX-Request-Id: forged\r\nX-A: 1\r\n\r\n");
  expect(noContent).toMatch(/^HTTP\/1\.1 204 [\s\S]*X-A: 1\r\n/);
  expect(noContent).not.toMatch(/content-length|forged/i);
  expect(noContent.match(/x-request-id: /gi)).toHaveLength(1);
  const chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n";
  expect(await forwardedResponse(`${chunked}X-Sum: 7\r\nSet-Cookie: a=1; Path=/\r\n\r\n`)).toMatch(/\r\nok\r\n0\r\nX-Sum: 7\r\n\r\n$/);
  const { json } = await other.request("GET", `/proxy/${web}/`, { headers: { X_Forwarded_For: "10.1.1.1", X_Own: "kept" } });
  expect([gotHeader(json, "x_forwarded_for"), gotHeader(json, "x_own")]).toEqual([undefined, "kept"]);
});

test("GET /proxy/{id} names the node of the port", async () => {
  expect((await other.request("GET", `/proxy/${web}`)).json).toMatchObject({ host: holder.name, container_port: 80 });
});

test("50 MB pass unchanged in both directions", async () => {
  expect(await bytesOf(await get("/bytes?size=50000000"))).toBe(50_000_000);
  const body = Buffer.alloc(50_000_000, "0123456789");
  const { request, answer } = open("PUT", "/", { "Content-Length": body.length });
  request.end(body);
  let text = "";
  for await (const chunk of await answer) text += chunk;
  expect(JSON.parse(text)).toMatchObject({ bytes: body.length, sha256: createHash("sha256").update(body).digest("hex") });
});

test("100-continue, events in both directions and WebSockets pass both nodes", async () => {
  const { request, answer } = open("POST", "/events", { "Transfer-Encoding": "chunked", Expect: "100-continue" });
  const continued = new Promise((resolve) => request.once("continue", resolve));
  request.flushHeaders();
  await continued;
  const stream = await answer;
  for (const line of ["one", "two"]) {
    const event = new Promise((resolve) => stream.once("data", resolve));
    request.write(`${line}\n`);
    expect(String(await event)).toBe(`data: ${line}\n\n`);
  }
  request.end();
  expect(await bytesOf(stream)).toBe(0);

  const socket = new WebSocket(`${other.server.url.replace("http", "ws")}/proxy/${web}/`, { headers: { "X-Access-Token": TOKEN } });
  await new Promise((resolve, reject) => socket.once("open", resolve).once("error", reject));
  const echo = new Promise((resolve) => socket.once("message", (data) => resolve(String(data))));
  socket.send("hello");
  expect(await echo).toBe("hello");
  socket.terminate();
});

test("errors of the container's node reach the client unchanged", async () => {
  const withoutPort = await holder.request("PUT", "/?node=n1", { json: { image: "busybox", detach: true, data: ["sleep", "600"] } });
  expect((await other.request("GET", `/proxy/${withoutPort.json.id}/`)).json).toMatchObject({ status: 400, code: "NO_PORT" });
  expect((await other.request("GET", `/proxy/${web}/slow`)).json).toMatchObject({ status: 504, code: "UPSTREAM_TIMEOUT" });
  expect((await other.request("GET", "/proxy/nowhere/")).json).toMatchObject({ status: 404, code: "CONTAINER_NOT_FOUND" });
});

test("removing a container breaks its response off, and the next request is 404", async () => {
  const name = `removed-${randomUUID().slice(0, 8)}`;
  await startWeb(holder.engine, name);
  const stream = await fetch(`${other.server.url}/proxy/${name}/endless`, { headers: { "X-Access-Token": TOKEN } });
  const reader = (stream.body as ReadableStream).getReader();
  await reader.read();
  await holder.engine.docker(["rm", "--force", name]);
  // Data in transit may arrive first.
  const readRest = async () => {
    while (!(await reader.read()).done);
  };
  await expect(readRest()).rejects.toThrow();
  expect((await other.request("GET", `/proxy/${name}/`)).status).toBe(404);
});

test("a frozen node breaks its response off; requests are 502 or 503, and 200 once it runs again", async () => {
  const stream = await get("/endless?length");
  const end = bytesOf(stream);
  end.catch(() => undefined);
  process.kill(holder.server.process.pid, "SIGSTOP");
  try {
    await expect(end).rejects.toThrow();
    expect([502, 503]).toContain((await other.request("GET", `/proxy/${web}/`)).status);
    expect((await other.request("GET", `/proxy/${web}/`)).json).toMatchObject({ status: 503, code: "NODES_MISSING" });
  } finally {
    process.kill(holder.server.process.pid, "SIGCONT");
  }
  expect(await until(async () => (await other.request("GET", `/proxy/${web}/`)).status === 200, 30_000)).toBe(true);
});
