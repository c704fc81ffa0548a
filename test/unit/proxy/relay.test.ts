import http from "node:http";
import net, { type AddressInfo } from "node:net";
import { ConnectionPool } from "../../../lib/proxy/connection-pool";
import { Relay } from "../../../lib/proxy/relay";
import { until } from "../../../scripts/process";

/** A relay between a client and what answers as it is told, over real connections. */

const connections = new ConnectionPool();
let said = "";
/** What the far end does with a connection after its answer. */
let afterwards: (socket: net.Socket) => void = () => undefined;
let telling: net.Socket | null = null;

const far = net.createServer((socket) => {
  socket.on("error", () => undefined).on("data", () => socket.write(said, "latin1", () => afterwards(socket)));
});
const server = http.createServer((request, response) => {
  const { port } = far.address() as AddressInfo;
  telling = response.socket;
  Relay.run(
    {
      request,
      response,
      endpoint: { poolKey: `far ${request.url}`, idleTimeoutMs: 60_000, connectOptions: { host: "127.0.0.1", port } },
      forceNewConnection: false,
      head: `${request.method} / HTTP/1.1\r\nHost: far\r\n\r\n`,
      responseTimeoutMs: 5000,
      toClientHeaders: ({ headers }) => headers.filter((_, at) => !/^transfer-encoding$/i.test(headers[at - (at % 2)] as string)),
      onUpgrade: undefined,
      watchUpstream: undefined,
    },
    connections,
  ).catch(() => response.destroy());
});

beforeAll(async () => {
  for (const each of [far, server]) await new Promise<void>((resolve) => each.listen(0, "127.0.0.1", resolve));
});
afterEach(() => {
  afterwards = () => undefined;
});
afterAll(() => {
  connections.close();
  for (const each of [far, server]) each.close();
  server.closeAllConnections();
});

/** The whole answer to a request, up to its connection's end. */
async function answer(method: string, version: string, path = "/"): Promise<string> {
  const client = net.connect((server.address() as AddressInfo).port, "127.0.0.1");
  client.write(`${method} ${path} HTTP/${version}\r\nHost: here\r\nConnection: close\r\n\r\n`);
  let text = "";
  for await (const chunk of client) text += chunk;
  return text;
}

const CHUNKED = "HTTP/1.1 200 OK\r\nTrailer: X-A, X-B\r\nTransfer-Encoding: chunked\r\n\r\n";

test("trailers of a response are forwarded, except those that would change its meaning", async () => {
  said = `${CHUNKED}2\r\nok\r\n0\r\nX-A: 1\r\nContent-Length: 7\r\nX-B: 2\r\n\r\n`;
  expect(await answer("GET", "1.1")).toMatch(/Trailer: X-A, X-B\r\n[\s\S]*\r\n2\r\nok\r\n0\r\nX-A: 1\r\nX-B: 2\r\n\r\n$/);
});

test.each([
  ["one without a body", "HEAD", "1.1", CHUNKED, ""],
  ["one for HTTP/1.0", "GET", "1.0", `${CHUNKED}2\r\nok\r\n0\r\n\r\n`, "ok"],
  ["one of a length", "GET", "1.1", "HTTP/1.1 200 OK\r\nTrailer: X-A\r\nContent-Length: 2\r\n\r\nok", "ok"],
])("a response that can't have trailers is forwarded without their announcement: %s", async (_what, method, version, text, body) => {
  said = text;
  const passed = await answer(method, version);
  expect(passed).toMatch(/^HTTP\/1\.1 200 OK\r\n/);
  expect(passed).not.toMatch(/trailer/i);
  expect(passed.slice(passed.indexOf("\r\n\r\n") + 4)).toBe(body);
});

test("1xx responses are not buffered for a slow client", async () => {
  const early = `HTTP/1.1 103 Early Hints\r\nLink: <${"x".repeat(60_000)}>\r\n\r\n`;
  said = early.repeat(500);
  let taken = false;
  afterwards = () => {
    taken = true;
  };
  const client = net.connect((server.address() as AddressInfo).port, "127.0.0.1").pause();
  client.write("GET /behind HTTP/1.1\r\nHost: here\r\n\r\n");
  expect(await until(() => taken, 20_000)).toBe(true);
  expect(telling?.writableLength).toBeLessThan(1_000_000);
  client.destroy();
});

test("connections that the upstream has closed leave the pool", async () => {
  said = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
  expect(await until(() => connections.idleEndpointCount <= 1, 5000)).toBe(true);
  await answer("GET", "1.1", "/kept");
  const before = connections.idleEndpointCount;
  expect(before).toBeGreaterThan(0);
  afterwards = (socket) => setTimeout(() => socket.destroy(), 100);
  for (let at = 0; at < 5; at += 1) await answer("GET", "1.1", `/${at}`);
  expect(await until(() => connections.idleEndpointCount <= before, 10_000)).toBe(true);
});
