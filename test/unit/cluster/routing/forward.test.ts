import type { IncomingHttpHeaders } from "node:http";
import { type Duplex, duplexPair, Readable } from "node:stream";
import { text } from "node:stream/consumers";
import fc from "fast-check";
import { type ForwardOptions, forward, readWhole } from "../../../../lib/cluster/routing/forward";
import type { RoutedRequest } from "../../../../lib/cluster/routing/routed-request";
import type { PeerCall } from "../../../../lib/cluster/rpc/peer-client";
import { Reply, type UpgradeReply } from "../../../../lib/support/reply";
import { noAnswer, peerOf, poolOf, requestOf } from "../../../support/unit/cluster-parts";

const peer = peerOf("n1");

function answerOf(headers: IncomingHttpHeaders = {}, statusCode = 200, body = "answer") {
  return Object.assign(Readable.from([Buffer.from(body)]), { statusCode, headers });
}

/** What is sent to the peer when the request is forwarded. */
async function sent(exchange: Partial<RoutedRequest>, options?: ForwardOptions): Promise<PeerCall> {
  const calls: PeerCall[] = [];
  const pool = poolOf({ peers: [peer], send: async (_peer, call) => calls.push(call) && answerOf() });
  await forward(pool, peer, requestOf(exchange), 5000, options);
  return calls[0] as PeerCall;
}

/** What the client gets if the peer answers with these headers. */
async function returned(headers: IncomingHttpHeaders, status = 200): Promise<Reply> {
  return forward(poolOf({ send: async () => answerOf(headers, status) }), peer, requestOf(), 5000);
}

const HOP_BY_HOP = ["connection", "keep-alive", "te", "trailer", "upgrade", "proxy-connection", "proxy-authenticate"];
const SECRET = ["authorization", "proxy-authorization", "x-access-token", "cookie", "x-docker-server-peer"];
const KEPT = ["accept", "content-type", "idempotency-key", "x-registry-auth", "x-request-id", "range", "user-agent", "__proto__"];
const of = (names: string[]) => Object.fromEntries(names.map((name) => [name, `value of ${name}`]));

test("neither what belongs to the client's connection nor its credentials are sent on, all else is as it came", () => {
  const names = fc.uniqueArray(fc.constantFrom(...HOP_BY_HOP, ...SECRET, "host", "expect", ...KEPT));
  return fc.assert(
    fc.asyncProperty(names, async (all) => {
      const { headers } = await sent({ headers: of(all) });
      expect(headers).toEqual(of(all.filter((name) => KEPT.includes(name))));
    }),
  );
});

test.each(["close, X-Hop,accept", " x-hop ,\tACCEPT ", "X-HOP, Accept, authorization"])(
  "headers that Connection names (%j) are not sent on",
  async (connection) => {
    const { headers } = await sent({ headers: { connection, "x-hop": "1", accept: "a", "x-far": "2", authorization: "secret" } });
    expect(headers).toEqual({ "x-far": "2" });
  },
);

test("a request is sent on with its method, address, caller and the time that is left to it, until its client goes", async () => {
  const client = new AbortController();
  const call = await sent({ method: "DELETE", url: "//x/%2e?a=b", identity: "anna", clientSignal: client.signal });
  expect(call).toMatchObject({ method: "DELETE", url: "//x/%2e?a=b", caller: "anna", remainingMs: 5000 });
  expect(call.signal?.aborted).toBe(false);
  client.abort();
  expect(call.signal?.aborted).toBe(true);
});

test("a body streams on if there is one", async () => {
  const rawBody = Readable.from(["body"]);
  expect((await sent({ rawBody, headers: { "transfer-encoding": "chunked" } })).body).toBe(rawBody);
  expect(await sent({ rawBody, headers: { "content-length": "4" } })).toMatchObject({ body: rawBody, headers: { "content-length": "4" } });
  expect((await sent({ rawBody, headers: { "content-length": "0" } })).body).toBeUndefined();
  expect((await sent({ rawBody })).body).toBeUndefined();
});

// Node leaves the bodies of GET and DELETE unframed unless it is told: the peer would take them for requests of their own.
test.each(["GET", "DELETE", "POST"])("where a body of %s ends the peer is told, whatever Connection says", async (method) => {
  const chunked = await sent({ method, headers: { "transfer-encoding": "chunked", connection: "transfer-encoding" } });
  expect(chunked.headers).toEqual({ "transfer-encoding": "chunked" });
  const measured = await sent({ method, headers: { "content-length": "4", connection: "content-length" } });
  expect(measured.headers).toEqual({ "content-length": "4" });
});

test.each<[string, Partial<RoutedRequest>, ForwardOptions]>([
  ["is read whole anyway", { readsBody: true, readBody: async () => ({ name: "ü" }) }, {}],
  ["is replaced", { readsBody: true }, { body: { name: "ü" } }],
])("a body that %s is sent on as plain JSON, and says so, whatever form it came in", async (_what, exchange, options) => {
  const form = { "content-type": "application/x-www-form-urlencoded", "content-length": "3", "content-encoding": "gzip" };
  const call = await sent({ ...exchange, headers: { ...form, cookie: "secret", "x-far": "1" } }, options);
  expect(String(call.body)).toBe('{"name":"ü"}');
  expect(call.headers).toEqual({ "content-type": "application/json", "content-length": 13, "x-far": "1" });
});

test("a body that streams on is still said to be compressed", async () => {
  const { headers } = await sent({ headers: { "content-encoding": "gzip", "content-length": "4" } });
  expect(headers).toEqual({ "content-encoding": "gzip", "content-length": "4" });
});

test("a run does not end because its client goes", async () => {
  const call = await sent({ clientSignal: AbortSignal.abort() }, { body: {}, outlivesClient: true });
  expect(call.signal?.aborted).toBe(false);
});

test("the answer comes back with its status, its body as it streams, and all headers but those of the peer's own connection and limits", async () => {
  const own = ["date", "ratelimit", "ratelimit-policy"];
  const kept = ["content-type", "content-length", "x-error-code", "www-authenticate", "etag"];
  const reply = await returned({ ...of([...HOP_BY_HOP, "transfer-encoding", ...own, ...kept]), connection: "x-hop", "x-hop": "1" }, 404);
  expect(reply.status).toBe(404);
  expect(reply.headers).toEqual(of(kept));
  expect(await text(reply.body as Readable)).toBe("answer");
});

test("a peer's failure to answer is passed on as it is", async () => {
  await expect(forward(poolOf({}), peer, requestOf(), 5000)).rejects.toMatchObject({ peer: "n1", sent: false });
});

describe("while the peer's answer is waited for", () => {
  beforeEach(() => jest.useFakeTimers());
  afterEach(() => jest.useRealTimers());

  /** A peer that never answers the request, and this to the question whether it lives. */
  async function waiting(ask: () => Promise<unknown>, ms: number) {
    const silent = peerOf("n1");
    const send = (_peer: unknown, { signal }: PeerCall) =>
      new Promise((_resolve, reject) => signal?.addEventListener("abort", () => reject(noAnswer("n1"))));
    let outcome: Error | undefined;
    forward(poolOf({ send, ask, peerTimeout: 500 }), silent, requestOf(), 60_000).catch((error: Error) => {
      outcome = error;
    });
    await jest.advanceTimersByTimeAsync(ms);
    return { silent, outcome };
  }

  test("it is asked whether it lives, and given up if it does not: the request may have reached it", async () => {
    const { silent, outcome } = await waiting(() => Promise.reject(noAnswer("n1")), 1000);
    expect(outcome).toMatchObject({ reason: "n1 refused", sent: true });
    expect(silent.missingReason).toBe("n1 refused");
    expect(jest.getTimerCount()).toBe(0);
  });

  test("it may take its time as long as it says that it lives, if only by an error", async () => {
    for (const ask of [async () => ({}), () => Promise.reject(noAnswer("n1", true))]) {
      const { silent, outcome } = await waiting(ask, 50_000);
      expect(outcome).toBeUndefined();
      expect(silent.missingReason).toBeUndefined();
      jest.clearAllTimers();
    }
  });
});

test("an answer read whole is what it was, as bytes", async () => {
  const bytes = (reply: Reply) => String(reply.body);
  expect(bytes(await readWhole(new Reply(200, answerOf())))).toBe("answer");
  expect(bytes(await readWhole(new Reply(200, { a: 1 })))).toBe('{"a":1}');
  expect((await readWhole(new Reply(201, answerOf(), { etag: "e" }))).headers).toEqual({ etag: "e" });
  for (const body of [null, "text", Buffer.from("bytes")]) expect((await readWhole(new Reply(200, body))).body).toBe(body);
});

/** All that comes to one end; its other direction stays open. */
function ended(stream: Duplex): Promise<string> {
  let all = "";
  stream.on("data", (part: Buffer) => {
    all += part.toString("latin1");
  });
  return new Promise((resolve) => stream.once("end", () => resolve(all)));
}

describe("an offer of an upgrade", () => {
  const OFFER = { connection: "keep-alive, Upgrade", upgrade: "websocket", "sec-websocket-key": "a", authorization: "secret" };

  test("is sent on as one by a route that takes upgrades, and by no other", async () => {
    const { headers } = await sent({ headers: OFFER, upgrade: true });
    expect(headers).toEqual({ connection: "Upgrade", upgrade: "websocket", "sec-websocket-key": "a" });
    expect((await sent({ headers: OFFER })).headers).toEqual({ "sec-websocket-key": "a" });
  });

  test("that the peer refuses is answered as the peer has answered", async () => {
    const pool = poolOf({ send: async () => answerOf({ "x-error-code": "NOT_RUNNING" }, 409, "no") });
    const reply = await forward(pool, peer, requestOf({ headers: OFFER, upgrade: true }), 5000);
    expect(reply).toMatchObject({ status: 409, headers: { "x-error-code": "NOT_RUNNING" } });
    expect(String((await readWhole(reply)).body)).toBe("no");
  });

  test("that the peer takes joins both connections, whatever came early", async () => {
    const [client, clientFar] = duplexPair();
    const [server, serverFar] = duplexPair();
    const accepted = { statusCode: 101, headers: {}, rawHeaders: ["Upgrade", "websocket", "X-Other", "é"], socket: server };
    const reply = await forward(poolOf({ send: async () => accepted }), peer, requestOf({ headers: OFFER, upgrade: true }), 5000);
    serverFar.write("early");
    (reply as UpgradeReply).takeOver({ request: undefined as never, socket: client, head: Buffer.from("first ") });
    clientFar.end("second");
    expect(await ended(serverFar)).toBe("first second");
    serverFar.end(" late");
    expect(await ended(clientFar)).toBe("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nX-Other: é\r\n\r\nearly late");
  });
});
