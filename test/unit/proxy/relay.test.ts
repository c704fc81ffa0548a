import http from "node:http";
import net, { type AddressInfo } from "node:net";
import { ConnectionPool } from "../../../lib/proxy/connection-pool";
import { Relay } from "../../../lib/proxy/relay";
import { until } from "../../../scripts/process";

// A relay between a client and an upstream that sends a given response, over real connections.

const pool = new ConnectionPool();
/** What the upstream sends for each request. */
let upstreamResponse = "";
/** Called with the upstream's socket after each response. */
let afterResponse: (socket: net.Socket) => void = () => undefined;
/** The server's socket of the last client. */
let clientSocket: net.Socket | null = null;

const upstream = net.createServer((socket) => {
  socket.on("error", () => undefined).on("data", () => socket.write(upstreamResponse, "latin1", () => afterResponse(socket)));
});
const server = http.createServer((request, response) => {
  const { port } = upstream.address() as AddressInfo;
  clientSocket = response.socket;
  Relay.run(
    {
      request,
      response,
      endpoint: { poolKey: `upstream ${request.url}`, idleTimeoutMs: 60_000, connectOptions: { host: "127.0.0.1", port } },
      forceNewConnection: false,
      head: `${request.method} / HTTP/1.1\r\nHost: far\r\n\r\n`,
      responseTimeoutMs: 5000,
      toClientHeaders: ({ headers }) => headers.filter((_, at) => !/^transfer-encoding$/i.test(headers[at - (at % 2)] as string)),
      onUpgrade: undefined,
      watchUpstream: undefined,
    },
    pool,
  ).catch(() => response.destroy());
});

beforeAll(async () => {
  for (const each of [upstream, server]) await new Promise<void>((resolve) => each.listen(0, "127.0.0.1", resolve));
});
afterEach(() => {
  afterResponse = () => undefined;
});
afterAll(() => {
  pool.close();
  for (const each of [upstream, server]) each.close();
  server.closeAllConnections();
});

/** Sends a request and returns the response up to the end of the connection. */
async function exchange(method: string, version: string, path = "/"): Promise<string> {
  const client = net.connect((server.address() as AddressInfo).port, "127.0.0.1");
  client.write(`${method} ${path} HTTP/${version}\r\nHost: here\r\nConnection: close\r\n\r\n`);
  let text = "";
  for await (const chunk of client) text += chunk;
  return text;
}

const CHUNKED = "HTTP/1.1 200 OK\r\nTrailer: X-A, X-B\r\nTransfer-Encoding: chunked\r\n\r\n";

describe("Relay", () => {
  test("trailers of a response are forwarded, except those that would change its meaning", async () => {
    upstreamResponse = `${CHUNKED}2\r\nok\r\n0\r\nX-A: 1\r\nContent-Length: 7\r\nX-B: 2\r\n\r\n`;
    expect(await exchange("GET", "1.1")).toMatch(/Trailer: X-A, X-B\r\n[\s\S]*\r\n2\r\nok\r\n0\r\nX-A: 1\r\nX-B: 2\r\n\r\n$/);
  });

  test.each([
    ["one without a body", "HEAD", "1.1", CHUNKED, ""],
    ["one for HTTP/1.0", "GET", "1.0", `${CHUNKED}2\r\nok\r\n0\r\n\r\n`, "ok"],
    ["one of a length", "GET", "1.1", "HTTP/1.1 200 OK\r\nTrailer: X-A\r\nContent-Length: 2\r\n\r\nok", "ok"],
  ])("a response that can't have trailers is forwarded without their announcement: %s", async (_case, method, version, text, body) => {
    upstreamResponse = text;
    const received = await exchange(method, version);
    expect(received).toMatch(/^HTTP\/1\.1 200 OK\r\n/);
    expect(received).not.toMatch(/trailer/i);
    expect(received.slice(received.indexOf("\r\n\r\n") + 4)).toBe(body);
  });

  test("1xx responses are not buffered for a slow client", async () => {
    const hints = `HTTP/1.1 103 Early Hints\r\nLink: <${"x".repeat(60_000)}>\r\n\r\n`;
    upstreamResponse = hints.repeat(500);
    let accepted = false;
    afterResponse = () => {
      accepted = true;
    };
    const client = net.connect((server.address() as AddressInfo).port, "127.0.0.1").pause();
    client.write("GET /behind HTTP/1.1\r\nHost: here\r\n\r\n");
    expect(await until(() => accepted, 20_000)).toBe(true);
    expect(clientSocket?.writableLength).toBeLessThan(1_000_000);
    client.destroy();
  });

  test("connections that the upstream has closed leave the pool", async () => {
    upstreamResponse = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    expect(await until(() => pool.idleEndpointCount <= 1, 5000)).toBe(true);
    await exchange("GET", "1.1", "/kept");
    const countBefore = pool.idleEndpointCount;
    expect(countBefore).toBeGreaterThan(0);
    afterResponse = (socket) => setTimeout(() => socket.destroy(), 100);
    for (let count = 0; count < 5; count += 1) await exchange("GET", "1.1", `/${count}`);
    expect(await until(() => pool.idleEndpointCount <= countBefore, 10_000)).toBe(true);
  });
});
