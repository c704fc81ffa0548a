import http from "node:http";
import net, { type AddressInfo } from "node:net";
import { ConnectionPool } from "../../../lib/proxy/connection-pool";
import { ResponseReader } from "../../../lib/proxy/http1/response-reader";
import { Relay, type RelayFailure } from "../../../lib/proxy/relay";
import { until } from "../../../scripts/process";

// A relay between a client and an upstream that sends a given response, over real connections.

const pool = new ConnectionPool();
/** What the upstream sends for each request. */
let upstreamResponse = "";
/** Called with the upstream's socket after each response. */
let afterResponse: (socket: net.Socket) => void = () => undefined;
/** The server's socket of the last client. */
let clientSocket: net.Socket | null = null;
/** Why the last relay failed. */
let failure: RelayFailure | undefined;
let responseTimeoutMs = 5000;

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
      responseTimeoutMs,
      toClientHeaders: ({ headers }) => headers.filter((_, at) => !/^transfer-encoding$/i.test(headers[at - (at % 2)] as string)),
      onUpgrade: undefined,
      watchUpstream: undefined,
    },
    pool,
  ).catch((error: RelayFailure) => {
    failure = error;
    response.destroy();
  });
});

beforeAll(async () => {
  for (const each of [upstream, server]) await new Promise<void>((resolve) => each.listen(0, "127.0.0.1", resolve));
});
afterEach(() => {
  afterResponse = () => undefined;
  responseTimeoutMs = 5000;
  failure = undefined;
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

  test("trailers that a proxy makes, withholds or confines in a head are not forwarded", async () => {
    const names = [
      "Set-Cookie",
      "X-Request-Id",
      "X-Forwarded-For",
      "X_Forwarded_For",
      "Strict-Transport-Security",
      "Content-Security-Policy",
    ];
    upstreamResponse = `${CHUNKED}2\r\nok\r\n0\r\nX-A: 1\r\n${names.map((name) => `${name}: forged\r\n`).join("")}\r\n`;
    expect(await exchange("GET", "1.1")).toMatch(/\r\n2\r\nok\r\n0\r\nX-A: 1\r\n\r\n$/);
  });

  test("chunks of a byte each are forwarded together", async () => {
    upstreamResponse = `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${"1\r\nx\r\n".repeat(1000)}0\r\n\r\n`;
    const received = await exchange("GET", "1.1");
    expect(received.match(/x/g)).toHaveLength(1000);
    expect(received.match(/\r\nx/g)?.length).toBeLessThan(100);
  });

  test("a response that comes in many short pieces arrives whole", async () => {
    const numbers = Array.from({ length: 3000 }, (_, at) => String(at).padStart(4, "0"));
    upstreamResponse = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    afterResponse = (socket) => {
      afterResponse = () => undefined;
      const left = [...numbers];
      const writeNext = () => {
        const number = left.shift();
        socket.write(number === undefined ? "0\r\n\r\n" : `4\r\n${number}\r\n`);
        if (number !== undefined) setImmediate(writeNext);
      };
      writeNext();
    };
    const received = await exchange("GET", "1.1");
    // The sizes of the chunks that it arrives in stand between them.
    expect(
      received
        .slice(received.indexOf("\r\n\r\n") + 2)
        .replace(/\r\n[0-9a-f]+\r\n/g, "")
        .trim(),
    ).toBe(numbers.join(""));
  });

  const PROGRESS = "HTTP/1.1 102 Processing\r\n\r\n";
  const FINAL = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

  test("up to 100 responses of 1xx precede a response, more are a failure", async () => {
    upstreamResponse = PROGRESS.repeat(100) + FINAL;
    expect((await exchange("GET", "1.1")).match(/HTTP\/1\.1 102 /g)).toHaveLength(100);
    expect(failure).toBeUndefined();
    upstreamResponse = PROGRESS.repeat(101) + FINAL;
    expect(await exchange("GET", "1.1")).not.toContain("200 OK");
    expect(failure).toMatchObject({ reason: "broken", message: "more than 100 answers with a 1xx status" });
  });

  test("1xx responses don't extend the response timeout", async () => {
    responseTimeoutMs = 300;
    upstreamResponse = PROGRESS;
    afterResponse = (socket) => {
      let remaining = 60;
      const timer = setInterval(() => {
        remaining -= 1;
        if (remaining > 0 && !socket.destroyed) return void socket.write(PROGRESS);
        clearInterval(timer);
        socket.end();
      }, 20);
    };
    await exchange("GET", "1.1", "/slow");
    expect(failure?.reason).toBe("timeout");
  });

  test("1xx responses for a slow client are neither buffered nor lost", async () => {
    upstreamResponse = `HTTP/1.1 103 Early Hints\r\nLink: <${"x".repeat(60_000)}>\r\n\r\n`.repeat(100) + FINAL;
    responseTimeoutMs = 60_000;
    const client = net.connect((server.address() as AddressInfo).port, "127.0.0.1").pause();
    client.write("GET /behind HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n");
    clientSocket = null;
    expect(await until(() => clientSocket?.writableNeedDrain === true, 20_000)).toBe(true);
    // All that the upstream could send has arrived when no more does.
    let length = -1;
    const settled = () => {
      const before = length;
      length = clientSocket?.writableLength ?? 0;
      return length === before;
    };
    expect(await until(settled, 20_000)).toBe(true);
    expect(length).toBeLessThan(1_000_000);
    let text = "";
    for await (const chunk of client) text += chunk;
    expect(text.match(/103 Early Hints/g)).toHaveLength(100);
    expect(text).toMatch(/\r\n\r\nok$/);
  });

  test("a client that reads late gets the whole body", async () => {
    afterResponse = (socket) => socket.end();
    const chunk = `10000\r\n${"x".repeat(0x10000)}\r\n`;
    upstreamResponse = `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${chunk.repeat(300)}0\r\n\r\n`;
    const client = net.connect((server.address() as AddressInfo).port, "127.0.0.1").pause();
    client.write("GET /late HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n");
    clientSocket = null;
    expect(await until(() => clientSocket?.writableNeedDrain === true, 20_000)).toBe(true);
    let received = 0;
    for await (const bytes of client) received += (bytes as Buffer).length;
    expect(received).toBeGreaterThan(300 * 0x10000);
  });

  test("after a part of a response that takes long to handle, other work gets its turn", async () => {
    const push = ResponseReader.prototype.push;
    let partsInTurn = 0;
    let most = 0;
    const pushing = jest.spyOn(ResponseReader.prototype, "push").mockImplementation(function (this: ResponseReader, bytes) {
      partsInTurn += 1;
      most = Math.max(most, partsInTurn);
      const end = performance.now() + 3;
      push.call(this, bytes);
      while (performance.now() < end);
    });
    let turn = setImmediate(nextTurn);
    function nextTurn(): void {
      partsInTurn = 0;
      turn = setImmediate(nextTurn);
    }
    upstreamResponse = `HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 3000000\r\n\r\n${"x".repeat(3_000_000)}`;
    try {
      expect((await exchange("GET", "1.1")).length).toBeGreaterThan(3_000_000);
      expect(pushing.mock.calls.length).toBeGreaterThan(10);
      expect(most).toBe(1);
    } finally {
      clearImmediate(turn);
      pushing.mockRestore();
    }
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
