import type { IncomingHttpHeaders } from "node:http";
import { type Duplex, duplexPair, Readable } from "node:stream";
import { text } from "node:stream/consumers";
import fc from "fast-check";
import { type ForwardOptions, forward, readWhole, streamOf } from "../../../../lib/cluster/routing/forward";
import type { RoutedRequest } from "../../../../lib/cluster/routing/routed-request";
import type { PeerCall } from "../../../../lib/cluster/rpc/peer-client";
import { Reply, type UpgradeReply } from "../../../../lib/support/reply";
import { noAnswer, peerOf, poolOf, requestOf } from "../../../support/unit/cluster-parts";

const peer = peerOf("n1");

const responses: Readable[] = [];
// The peer of a response that nobody reads is pinged until it is closed, also while another test counts timers.
afterEach(() => {
  for (const response of responses.splice(0)) response.destroy();
});

function responseOf(headers: IncomingHttpHeaders = {}, statusCode = 200, body = "answer") {
  const response = Object.assign(Readable.from([Buffer.from(body)]), { statusCode, headers });
  responses.push(response);
  return response;
}

/** Forwards a request; the call that the peer gets. */
async function forwardedCall(request: Partial<RoutedRequest>, options?: ForwardOptions): Promise<PeerCall> {
  const calls: PeerCall[] = [];
  const pool = poolOf({ peers: [peer], send: async (_peer, call) => calls.push(call) && responseOf() });
  await forward(pool, peer, requestOf(request), 5000, options);
  return calls[0] as PeerCall;
}

/** The reply to the client if the peer responds with these headers. */
async function replyTo(headers: IncomingHttpHeaders, status = 200): Promise<Reply> {
  return forward(poolOf({ send: async () => responseOf(headers, status) }), peer, requestOf(), 5000);
}

const HOP_BY_HOP = ["connection", "keep-alive", "te", "trailer", "upgrade", "proxy-connection", "proxy-authenticate"];
const SECRET = ["authorization", "proxy-authorization", "x-access-token", "cookie", "x-docker-server-peer"];
const KEPT = ["accept", "content-type", "idempotency-key", "x-registry-auth", "x-request-id", "range", "user-agent", "__proto__"];
const headersOf = (names: string[]) => Object.fromEntries(names.map((name) => [name, `value of ${name}`]));

test("hop-by-hop headers and credentials are not forwarded, and all other headers are unchanged", () => {
  const names = fc.uniqueArray(fc.constantFrom(...HOP_BY_HOP, ...SECRET, "host", "expect", ...KEPT));
  return fc.assert(
    fc.asyncProperty(names, async (all) => {
      const { headers } = await forwardedCall({ headers: headersOf(all) });
      expect(headers).toEqual(headersOf(all.filter((name) => KEPT.includes(name))));
    }),
  );
});

test.each(["close, X-Hop,accept", " x-hop ,\tACCEPT ", "X-HOP, Accept, authorization"])(
  "headers named in Connection (%j) are not forwarded",
  async (connection) => {
    const { headers } = await forwardedCall({ headers: { connection, "x-hop": "1", accept: "a", "x-far": "2", authorization: "secret" } });
    expect(headers).toEqual({ "x-far": "2" });
  },
);

test("method, URL, caller and remaining time are forwarded, and the call is aborted when the client disconnects", async () => {
  const client = new AbortController();
  const call = await forwardedCall({ method: "DELETE", url: "//x/%2e?a=b", identity: "anna", clientSignal: client.signal });
  expect(call).toMatchObject({ method: "DELETE", url: "//x/%2e?a=b", caller: "anna", remainingMs: 5000 });
  expect(call.signal?.aborted).toBe(false);
  client.abort();
  expect(call.signal?.aborted).toBe(true);
});

test("a body is streamed to the peer if the request has one", async () => {
  const rawBody = Readable.from(["body"]);
  expect((await forwardedCall({ rawBody, headers: { "transfer-encoding": "chunked" } })).body).toBe(rawBody);
  expect(await forwardedCall({ rawBody, headers: { "content-length": "4" } })).toMatchObject({
    body: rawBody,
    headers: { "content-length": "4" },
  });
  expect((await forwardedCall({ rawBody, headers: { "content-length": "0" } })).body).toBeUndefined();
  expect((await forwardedCall({ rawBody })).body).toBeUndefined();
});

// Without such a header Node sends the bodies of GET and DELETE unframed, and the peer would read them as further requests.
test.each(["GET", "DELETE", "POST"])("a body of %s keeps its framing header even if Connection names it", async (method) => {
  const chunked = await forwardedCall({ method, headers: { "transfer-encoding": "chunked", connection: "transfer-encoding" } });
  expect(chunked.headers).toEqual({ "transfer-encoding": "chunked" });
  const measured = await forwardedCall({ method, headers: { "content-length": "4", connection: "content-length" } });
  expect(measured.headers).toEqual({ "content-length": "4" });
});

test.each<[string, Partial<RoutedRequest>, ForwardOptions]>([
  ["is read whole anyway", { readsBody: true, readBody: async () => ({ name: "ü" }) }, {}],
  ["is replaced", { readsBody: true }, { body: { name: "ü" } }],
])("a body that %s is forwarded as uncompressed JSON, whatever its original format", async (_case, request, options) => {
  const form = { "content-type": "application/x-www-form-urlencoded", "content-length": "3", "content-encoding": "gzip" };
  const call = await forwardedCall({ ...request, headers: { ...form, cookie: "secret", "x-far": "1" } }, options);
  expect(String(call.body)).toBe('{"name":"ü"}');
  expect(call.headers).toEqual({ "content-type": "application/json", "content-length": 13, "x-far": "1" });
});

test("a streamed body keeps its Content-Encoding", async () => {
  const { headers } = await forwardedCall({ headers: { "content-encoding": "gzip", "content-length": "4" } });
  expect(headers).toEqual({ "content-encoding": "gzip", "content-length": "4" });
});

test("a run is not aborted when its client disconnects", async () => {
  const call = await forwardedCall({ clientSignal: AbortSignal.abort() }, { body: {}, outlivesClient: true });
  expect(call.signal?.aborted).toBe(false);
});

test("the reply has the peer's status, streamed body and headers, without hop-by-hop, date and rate limit headers", async () => {
  const own = ["date", "ratelimit", "ratelimit-policy"];
  const kept = ["content-type", "content-length", "x-error-code", "www-authenticate", "etag"];
  const reply = await replyTo(
    { ...headersOf([...HOP_BY_HOP, "transfer-encoding", ...own, ...kept]), connection: "x-hop", "x-hop": "1" },
    404,
  );
  expect(reply.status).toBe(404);
  expect(reply.headers).toEqual(headersOf(kept));
  expect(await text(reply.body as Readable)).toBe("answer");
});

test("a stream that breaks off is the failure of its peer", async () => {
  const broken = async function* () {
    yield Buffer.from("first");
    throw Object.assign(new Error("aborted"), { code: "ECONNRESET" });
  };
  const { body } = streamOf(peer, new Reply(200, Readable.from(broken())));
  await expect(text(body as AsyncIterable<Buffer> as Readable)).rejects.toMatchObject({ code: "NODE_FAILED", details: { node: "n1" } });
});

test("a client that has left is no failure of the peer", async () => {
  const send = async () => Promise.reject(noAnswer("n1"));
  const request = requestOf({ clientSignal: AbortSignal.abort() });
  await expect(forward(poolOf({ send }), peer, request, 5000)).rejects.toMatchObject({ code: "ABANDONED" });
});

test("a peer's failure is thrown unchanged", async () => {
  await expect(forward(poolOf({}), peer, requestOf(), 5000)).rejects.toMatchObject({ peer: "n1", sent: false });
});

describe("while waiting for the peer's response", () => {
  beforeEach(() => jest.useFakeTimers());
  afterEach(() => jest.useRealTimers());

  /** Forwards to a peer that never responds, with the given answer to pings; the outcome after some ms. */
  async function waitFor(ping: () => Promise<unknown>, ms: number) {
    const silent = peerOf("n1");
    const send = (_peer: unknown, { signal }: PeerCall) =>
      new Promise((_resolve, reject) => signal?.addEventListener("abort", () => reject(noAnswer("n1"))));
    let outcome: Error | undefined;
    forward(poolOf({ send, ask: ping, peerTimeout: 500 }), silent, requestOf(), 60_000).catch((error: Error) => {
      outcome = error;
    });
    await jest.advanceTimersByTimeAsync(ms);
    return { silent, outcome };
  }

  test("a peer that misses a ping is given up, as one that may have received the request", async () => {
    const { silent, outcome } = await waitFor(() => Promise.reject(noAnswer("n1")), 1000);
    expect(outcome).toMatchObject({ reason: "n1 refused", sent: true });
    expect(silent.missingReason).toBe("n1 refused");
    expect(jest.getTimerCount()).toBe(0);
  });

  test("a peer that answers pings, even with an error, may take any time", async () => {
    for (const ping of [async () => ({}), () => Promise.reject(noAnswer("n1", true))]) {
      const { silent, outcome } = await waitFor(ping, 50_000);
      expect(outcome).toBeUndefined();
      expect(silent.missingReason).toBeUndefined();
      jest.clearAllTimers();
    }
  });
});

test("readWhole turns a stream or an object into bytes and keeps all else", async () => {
  const textOf = (reply: Reply) => String(reply.body);
  expect(textOf(await readWhole(new Reply(200, responseOf())))).toBe("answer");
  expect(textOf(await readWhole(new Reply(200, { a: 1 })))).toBe('{"a":1}');
  expect((await readWhole(new Reply(201, responseOf(), { etag: "e" }))).headers).toEqual({ etag: "e" });
  for (const body of [null, "text", Buffer.from("bytes")]) expect((await readWhole(new Reply(200, body))).body).toBe(body);
});

test("readWhole stops reading a reply that is longer than its limit", async () => {
  let read = 0;
  const endless = Readable.from(
    (function* () {
      for (;;) {
        read += 10;
        yield Buffer.alloc(10);
      }
    })(),
  );
  await expect(readWhole(new Reply(200, endless), 100)).rejects.toThrow("its answer is longer than 100 bytes");
  expect([endless.destroyed, read < 1000]).toEqual([true, true]);
});

/** Reads a stream to its end without ending its other direction. */
function readToEnd(stream: Duplex): Promise<string> {
  let all = "";
  stream.on("data", (part: Buffer) => {
    all += part.toString("latin1");
  });
  return new Promise((resolve) => stream.once("end", () => resolve(all)));
}

describe("an upgrade request", () => {
  const OFFER = { connection: "keep-alive, Upgrade", upgrade: "websocket", "sec-websocket-key": "a", authorization: "secret" };

  test("is forwarded as an upgrade only by a route that takes upgrades", async () => {
    const { headers } = await forwardedCall({ headers: OFFER, upgrade: true });
    expect(headers).toEqual({ connection: "Upgrade", upgrade: "websocket", "sec-websocket-key": "a" });
    expect((await forwardedCall({ headers: OFFER })).headers).toEqual({ "sec-websocket-key": "a" });
  });

  test("is answered with the peer's response if the peer refuses", async () => {
    const pool = poolOf({ send: async () => responseOf({ "x-error-code": "NOT_RUNNING" }, 409, "no") });
    const reply = await forward(pool, peer, requestOf({ headers: OFFER, upgrade: true }), 5000);
    expect(reply).toMatchObject({ status: 409, headers: { "x-error-code": "NOT_RUNNING" } });
    expect(String((await readWhole(reply)).body)).toBe("no");
  });

  test("joins both connections if the peer accepts, including data that was sent early", async () => {
    const [client, remoteClient] = duplexPair();
    const [server, remoteServer] = duplexPair();
    const accepted = { statusCode: 101, headers: {}, rawHeaders: ["Upgrade", "websocket", "X-Other", "é"], socket: server };
    const reply = await forward(poolOf({ send: async () => accepted }), peer, requestOf({ headers: OFFER, upgrade: true }), 5000);
    remoteServer.write("early");
    (reply as UpgradeReply).takeOver({ request: undefined as never, socket: client, head: Buffer.from("first ") });
    remoteClient.end("second");
    expect(await readToEnd(remoteServer)).toBe("first second");
    remoteServer.end(" late");
    expect(await readToEnd(remoteClient)).toBe("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nX-Other: é\r\n\r\nearly late");
  });
});
