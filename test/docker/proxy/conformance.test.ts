import { randomUUID } from "node:crypto";
import { connectRaw, head, type RawConnection } from "../../support/raw-http";
import { TOKEN } from "../../support/server";
import { type OneNode, startNode } from "../../support/single-node";
import { gotHeader, rawPath, startWeb } from "../../support/web-container";

// The requirements of RFC 9110 and RFC 9112 on an intermediary, by section.

let node: OneNode;
const web = `web-${randomUUID().slice(0, 8)}`;
const connections: RawConnection[] = [];

beforeAll(async () => {
  node = await startNode({ name: "conform", inside: true, args: ["--proxy_timeout=3"] });
  await startWeb(node.engine, web);
});

afterEach(() => {
  for (const connection of connections.splice(0)) connection.end();
});
afterAll(() => node?.stop());

function connect(): RawConnection {
  const connection = connectRaw(node.server, new URL(node.server.url).hostname);
  connections.push(connection);
  return connection;
}

const token = { "X-Access-Token": TOKEN };

/** Sends one request and returns the response as soon as it matches. */
async function exchange(request: string, until: RegExp): Promise<string> {
  const connection = connect();
  connection.send(request);
  return connection.receives(until);
}

/** Sends a request unchanged and returns it as the container received it. */
async function receivedRequest(method: string, path: string, lines: Record<string, string>, body = "") {
  const answer = await exchange(head(method, `/proxy/${web}${path}`, { ...token, ...lines }) + body, /\}\s*$/);
  return JSON.parse(answer.slice(answer.indexOf("{"), answer.lastIndexOf("}") + 1));
}

/** Makes the container send this response, and returns what the client received up to the end of the connection. */
async function forwardedResponse(response: string, options: { method?: string; until?: RegExp } = {}): Promise<string> {
  const lines = { ...token, Connection: "close" };
  const connection = connect();
  connection.send(head(options.method ?? "GET", rawPath(web, response), lines));
  if (options.until) return connection.receives(options.until);
  for (let attempt = 0; attempt < 200 && !connection.closed(); attempt++) await new Promise((resolve) => setTimeout(resolve, 50));
  expect(connection.closed()).toBe(true);
  return connection.received();
}

const OK = "HTTP/1.1 200 OK\r\n";

describe("forwarded requests", () => {
  test("9110 7.6.1: hop-by-hop headers of a request are removed, all others are forwarded unchanged", async () => {
    const got = await receivedRequest("GET", "/", {
      Connection: "close, X-Private , keep-alive",
      "X-Private": "1",
      "Keep-Alive": "timeout=5",
      "Proxy-Connection": "keep-alive",
      "Proxy-Authorization": "Basic eA==",
      TE: "gzip",
      "X-Public": "Kept  as is",
    });
    for (const name of ["x-private", "keep-alive", "proxy-connection", "proxy-authorization", "te", "connection"]) {
      expect([name, gotHeader(got, name)]).toEqual([name, undefined]);
    }
    expect(gotHeader(got, "X-Public")).toBe("Kept  as is");
  });

  test("9110 7.6.2: Max-Forwards of OPTIONS is decremented, and 0 is answered by this server", async () => {
    expect(gotHeader(await receivedRequest("OPTIONS", "/", { "Max-Forwards": "3" }), "max-forwards")).toBe("2");
    const answer = await exchange(head("OPTIONS", `/proxy/${web}/`, { ...token, "Max-Forwards": "0" }), /\r\n\r\n/);
    expect(answer).toMatch(/^HTTP\/1\.1 200 /);
    expect(answer).toMatch(/\r\nAllow: GET, HEAD, POST/);
  });

  test("9110 7.6.3: this server is appended to Via", async () => {
    expect(gotHeader(await receivedRequest("GET", "/", { Via: "1.0 before" }), "via")).toBe("1.0 before, 1.1 docker-server");
  });

  test("9110 7.2 and 9112 3.2: Host is the container's, and two Host headers are refused", async () => {
    expect(gotHeader(await receivedRequest("GET", "/", { Host: "evil.example" }), "host")).toMatch(/^127\.0\.0\.1:\d+$/);
    const withTwoHosts = head("GET", `/proxy/${web}/`, token).replace("\r\n\r\n", "\r\nHost: other\r\n\r\n");
    expect(await exchange(withTwoHosts, /\}$/)).toMatch(/^HTTP\/1\.1 400 /);
  });

  test("9112 3.2.2: the host of a target in absolute form is ignored", async () => {
    const request = head("GET", `http://169.254.169.254:80@evil.example/proxy/${web}/x?y=//z`, token);
    expect(await exchange(request, /\}$/)).toContain('"url":"/x?y=//z"');
  });

  test.each(["//evil.example/x", "/../../etc/passwd", "/@evil.example/", "/http://evil.example/", "/%2e%2e/%2F"])(
    "%s reaches nothing but the container",
    async (path) => expect((await receivedRequest("GET", path, {})).url).toBe(path),
  );

  test("9110 9.3.6 and 9.3.8: CONNECT and TRACE are refused", async () => {
    expect(await exchange(head("TRACE", `/proxy/${web}/`, token), /\}$/)).toMatch(/^HTTP\/1\.1 405 /);
    const connection = connect();
    connection.send(head("CONNECT", "evil.example:80", token));
    for (let attempt = 0; attempt < 100 && !connection.closed(); attempt++) await new Promise((resolve) => setTimeout(resolve, 50));
    expect([connection.closed(), connection.received()]).toEqual([true, expect.not.stringMatching(/^HTTP\/1\.1 2/)]);
  });

  test("9110 6.5 and 9112 7.1: a chunked body stays chunked, with all trailers but the forbidden ones", async () => {
    const trailers = "X-Sum: 42\r\nContent-Type: text/html\r\nX-Access-Token: forged\r\n";
    const body = `4;ext=1\r\nabcd\r\n3\r\nefg\r\n0\r\n${trailers}\r\n`;
    const got = await receivedRequest("POST", "/", { "Transfer-Encoding": "chunked", Trailer: "X-Sum", TE: "trailers" }, body);
    expect([got.bytes, got.rawTrailers]).toEqual([7, ["X-Sum", "42"]]);
    expect([gotHeader(got, "transfer-encoding"), gotHeader(got, "te"), gotHeader(got, "trailer")]).toEqual([
      "chunked",
      "trailers",
      "X-Sum",
    ]);
  });

  test.each([
    ["both lengths and chunks", { "Content-Length": "3", "Transfer-Encoding": "chunked" }, "0\r\n\r\n"],
    ["another coding", { "Transfer-Encoding": "gzip, chunked" }, "0\r\n\r\n"],
    ["no end to the codings", { "Transfer-Encoding": "chunked, identity" }, "0\r\n\r\n"],
    ["a length that is none", { "Content-Length": "+3" }, "abc"],
    ["lengths that differ", { "Content-Length": "3\r\nContent-Length: 4" }, "abcd"],
    ["a line folded", { "X-A": "1\r\n Transfer-Encoding: chunked" }, ""],
    ["a blank before the colon", { "Transfer-Encoding ": "chunked" }, "0\r\n\r\n"],
  ])("9112 6.3 and 11.2: a request with %s is refused, and no bytes after it reach the container", async (_case, lines, body) => {
    const connection = connect();
    const smuggled = head("GET", `/proxy/${web}/smuggled`, token);
    connection.send(head("POST", `/proxy/${web}/`, { ...token, ...lines }) + body + smuggled);
    expect(await connection.receives(/\r\n\r\n/)).toMatch(/^HTTP\/1\.1 400 /);
    expect(connection.received()).not.toContain("/smuggled");
  });

  test("9110 10.1.1: the container answers Expect: 100-continue, or refuses the request", async () => {
    const connection = connect();
    const lines = { ...token, Expect: "100-continue", "Content-Length": "4" };
    connection.send(head("PUT", `/proxy/${web}/`, lines));
    await connection.receives(/^HTTP\/1\.1 100 Continue\r\n\r\n/);
    connection.send("body");
    expect(await connection.receives(/\}$/)).toMatch(/\r\n\r\nHTTP\/1\.1 200 OK\r\n[\s\S]*"bytes":4/);
    expect(await exchange(head("PUT", `/proxy/${web}/refuse`, lines), /no\r\n0\r\n\r\n$/)).toMatch(/^HTTP\/1\.1 417 /);
  });

  test("9110 10.1.1: an unauthorized request is refused before its body is sent", async () => {
    const lines = { Expect: "100-continue", "Content-Length": "4" };
    expect(await exchange(head("PUT", `/proxy/${web}/`, lines), /\}$/)).toMatch(/^HTTP\/1\.1 401 /);
  });

  test("9112 9.3: pipelined requests are answered in order", async () => {
    const paths = ["/slow-first", "/bytes?size=3", "/second", "/third"];
    const connection = connect();
    connection.send(paths.map((path) => head("GET", `/proxy/${web}${path}`, token)).join(""));
    const answers = await connection.receives(/third[\s\S]*\}$/);
    expect([...answers.matchAll(/"url":"([^"]+)"/g)].map(([, url]) => url)).toEqual(["/slow-first", "/second", "/third"]);
  });
});

describe("forwarded responses", () => {
  test("9110 7.6.1: hop-by-hop headers of a response are removed", async () => {
    const fields = "Connection: close, X-Private\r\nX-Private: 1\r\nKeep-Alive: timeout=77\r\nProxy-Connection: close\r\nX-Public: 2\r\n";
    const answer = await forwardedResponse(`${OK}${fields}Content-Length: 2\r\n\r\nok`);
    expect(answer).toMatch(/X-Public: 2\r\n[\s\S]*\r\n\r\nok$/);
    expect(answer).not.toMatch(/X-Private|timeout=77|Proxy-Connection/);
  });

  test("9110 15.2: 1xx responses are forwarded, except to HTTP/1.0 clients", async () => {
    const hints = "HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n";
    const answer = `${hints}${OK}Content-Length: 2\r\n\r\nok`;
    expect(await forwardedResponse(answer)).toMatch(/^HTTP\/1\.1 103 Early Hints\r\nLink: [\s\S]*\r\n\r\nHTTP\/1\.1 200 OK\r\n[\s\S]*ok$/);
    const http10Request = head("GET", rawPath(web, answer), token).replace("HTTP/1.1", "HTTP/1.0");
    expect(await exchange(http10Request, /ok$/)).toMatch(/^HTTP\/1\.1 200 /);
  });

  test("9110 15.2.2: a 101 without an offered upgrade is refused", async () => {
    const answer = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\nbytes";
    expect(await forwardedResponse(answer)).toMatch(/^HTTP\/1\.1 502 /);
  });

  test.each([
    ["HEAD", `${OK}Content-Length: 77\r\n\r\n`, /Content-Length: 77\r\n/],
    ["GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 77\r\nETag: x\r\n\r\n", /ETag: x\r\n/],
    ["GET", "HTTP/1.1 204 No Content\r\nContent-Length: 77\r\nX-A: 1\r\n\r\n", /^(?!.*Content-Length).*X-A: 1\r\n/s],
  ])("9112 6.3: a response without a body, to %s, ends with its head, whatever its Content-Length", async (method, answer, expected) => {
    const received = await forwardedResponse(answer, { method });
    expect(received).toMatch(expected);
    expect(received).toMatch(/\r\n\r\n$/);
  });

  test("9112 7.1: chunks are decoded in any fragmentation, with extensions and trailers", async () => {
    const chunks = "3;a=b\r\nabc\r\n0004\r\ndefg\r\n0\r\nX-Sum: 7\r\n\r\n";
    const answer = await forwardedResponse(`${OK}Transfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n${chunks}`);
    expect(answer).toMatch(/Transfer-Encoding: chunked[\s\S]*\r\n\r\n7\r\nabcdefg\r\n0\r\nX-Sum: 7\r\n\r\n$/i);
  });

  test("9112 6.3: a body that ends with its connection ends with the client's connection, also in HTTP/1.0", async () => {
    const answer = await forwardedResponse("HTTP/1.0 200 OK\r\nX-A: 1\r\n\r\nuntil the end");
    expect(answer).toMatch(/^HTTP\/1\.1 200 OK\r\n[\s\S]*Connection: close\r\n[\s\S]*\r\n\r\nuntil the end$/);
    expect(answer).not.toMatch(/Transfer-Encoding|Content-Length/i);
  });

  test.each([
    ["both lengths and chunks", "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"],
    ["lengths that differ", "Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd"],
    ["a length that is none", "Content-Length: 3x\r\n\r\nabc"],
    ["another coding", "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"],
    ["a header that is none", "no header\r\n\r\n"],
    ["a head without an end", "X: *100KB*"],
  ])("9112 6.3 and 11.1: a response with %s is 502", async (_case, rest) => {
    expect(await forwardedResponse(OK + rest)).toMatch(/^HTTP\/1\.1 502 [\s\S]*UPSTREAM_FAILED/);
  });

  test.each(["nonsense\r\n\r\n", "", "HTTP/1.1 2000 OK\r\n\r\n", "HTTP/2 200 OK\r\n\r\n"])(
    "%j is not a valid response and gives 502",
    async (answer) => {
      expect(await forwardedResponse(answer)).toMatch(/^HTTP\/1\.1 502 /);
    },
  );

  test.each([
    ["shorter than its length", "Content-Length: 50\r\n\r\nshort"],
    ["without its last chunk", "Transfer-Encoding: chunked\r\n\r\n5\r\nshort\r\n"],
    ["with a chunk's size that is none", "Transfer-Encoding: chunked\r\n\r\n5\r\nshort\r\nzz\r\n"],
  ])("9112 8: a response %s does not look complete", async (_case, rest) => {
    const answer = await forwardedResponse(OK + rest);
    expect(answer).toMatch(/^HTTP\/1\.1 200 OK\r\n[\s\S]*short/);
    expect(answer).not.toMatch(/\r\n0\r\n\r\n$/);
  });

  test("9112 6.3: bytes after a response are dropped, and the next request gets its own response", async () => {
    const poisoned = `${OK}Content-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison`;
    const lines = { ...token };
    for (let attempt = 0; attempt < 3; attempt++) {
      const connection = connect();
      connection.send(head("GET", rawPath(web, poisoned, true), lines));
      expect(await connection.receives(/\r\n\r\nok/)).not.toContain("poison");
      connection.send(head("GET", rawPath(web, `${OK}Content-Length: 4\r\n\r\nmine`, true), lines));
      expect(await connection.receives(/mine$/)).not.toContain("poison");
    }
  });

  test("9112 5.1 and 5.2: whitespace before a colon, folded lines and bare line feeds are normalized", async () => {
    const answer = await forwardedResponse("HTTP/1.1 200 OK\nX-A : 1\nX-B: 2\n  3\nContent-Length: 2, 2\n\nok");
    expect(answer).toMatch(/X-A: 1\r\nX-B: 2 3\r\nContent-Length: 2\r\n[\s\S]*\r\n\r\nok$/);
  });

  test("a page is sandboxed, its cookies are confined to its path and origin-wide headers are removed", async () => {
    const fields = [
      "Set-Cookie: a=1; Path=/; HttpOnly",
      "Set-Cookie: b=2; Domain=example.com; Path=/deep; Secure",
      "Set-Cookie: c=3",
      "Set-Cookie: docker-server-proxy=stolen",
      "Content-Security-Policy: default-src 'self'",
      "Service-Worker-Allowed: /",
      'Clear-Site-Data: "*"',
      "Strict-Transport-Security: max-age=1",
      "Alt-Svc: h3",
    ];
    const answer = await forwardedResponse(`${OK}${fields.join("\r\n")}\r\nContent-Length: 2\r\n\r\nok`);
    const prefix = `/proxy/${web}`;
    expect(answer.match(/(?<=Set-Cookie: ).*(?=\r)/g)).toEqual([
      `a=1; HttpOnly; Path=${prefix}/`,
      `b=2; Secure; Path=${prefix}/deep`,
      `c=3; Path=${prefix}/`,
    ]);
    expect(answer.match(/(?<=Content-Security-Policy: ).*(?=\r)/g)).toEqual([
      "default-src 'self'",
      expect.stringMatching(/^sandbox (?!.*same-origin)/),
    ]);
    expect(answer).not.toMatch(/Service-Worker-Allowed|Clear-Site-Data|Strict-Transport|Alt-Svc/);
  });
});
