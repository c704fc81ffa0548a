import http from "node:http";
import net, { type AddressInfo } from "node:net";
import { text } from "node:stream/consumers";
import { deriveTokenKey, makeToken } from "../../../lib/access/token";
import { authenticator } from "../../../lib/auth/authenticate";
import { Credentials } from "../../../lib/auth/credentials";
import { NarrowTokens } from "../../../lib/auth/narrow-tokens";
import { Tickets } from "../../../lib/auth/tickets";
import type { LocalHost } from "../../../lib/cluster/local-host";
import { singleNodeDispatch } from "../../../lib/cluster/routing/single-node";
import { everyNode, here } from "../../../lib/cluster/routing/where";
import { AppError } from "../../../lib/errors";
import { errorHandler } from "../../../lib/http/error-handler";
import { registerRoutes } from "../../../lib/http/express-adapter";
import { createExpressApp } from "../../../lib/http/express-app";
import { burstLimits, FailureLimit } from "../../../lib/http/rate-limit";
import { RequestDeadlines } from "../../../lib/http/request-deadlines";
import { requestLogger } from "../../../lib/http/request-logger";
import { Reply, route, streamReply } from "../../../lib/http/route";
import { shortWay } from "../../../lib/http/short-way";
import { quietLog } from "../../support/unit/quiet-log";

const TOKEN = "secret";
const EXPIRES = Math.floor(Date.now() / 1000) + 600;
const narrowToken = (caveats: object) => `Bearer ${makeToken(deriveTokenKey(TOKEN), { expires: EXPIRES, ...caveats })}`;
const GOOD = `Authorization: Bearer ${TOKEN}`;
const HIGH_BURST = 6;

const common = { burst: "none", permission: "read", summary: "", responses: {} } as const;
const ROUTES = [
  route({
    ...common,
    method: "get",
    path: "/",
    where: everyNode("list"),
    burst: "high",
    confined: "handler",
    anonymousBody: () => ({ name: "service" }),
    handler: ({ access }) => new Reply(200, Buffer.from(access.labels ? "[]" : "[1]"), { "Content-Type": "application/json" }),
  }),
  route({
    ...common,
    method: "get",
    path: "/health",
    where: here,
    permission: null,
    public: true,
    runsOnHead: true,
    handler: () => ({ a: 1 }),
  }),
  route({ ...common, method: "get", path: "/metrics", where: here, permission: "nodes", handler: () => new Reply(200, "text") }),
  route({ ...common, method: "get", path: "/broken", where: here, handler: () => Promise.reject(new Error("broken")) }),
  route({
    ...common,
    method: "get",
    path: "/stopping",
    where: here,
    handler() {
      throw new AppError("STOPPING");
    },
  }),
  route({ ...common, method: "get", path: "/stream", where: here, handler: () => streamReply("text/plain", lines()) }),
  route({ ...common, method: "get", path: "/:id", where: here, handler: () => ({ id: true }) }),
  route({ ...common, method: "post", path: "/health", where: here, handler: () => ({ posted: true }) }),
];

async function* lines() {
  yield Buffer.from("a\n");
  yield Buffer.from("b\n");
}

/** A server of these routes, with the short way or with Express alone, and what it wrote of its requests. */
async function startServer(isShort: boolean, settings: { cors_origin: string[]; https: boolean }) {
  const audited: Record<string, unknown>[] = [];
  const counted: unknown[][] = [];
  const log = requestLogger(
    (entry) => void audited.push(entry),
    (...count) => void counted.push(count.slice(0, 3)),
  );
  const { app, stepsBefore } = createExpressApp({ trust_proxy: null, ...settings }, log);
  const secrets = { token: [TOKEN], token_file: null, user: null, password: null };
  const narrow = new NarrowTokens({ ...secrets, cluster_key: [] });
  const credentials = Credentials.load(secrets, quietLog().log, "key", narrow);
  const tickets = new Tickets({ sign: () => "", verify: () => false }, (claim) => narrow.accept(claim));
  const { authenticate } = authenticator(credentials, new FailureLimit(2), () => undefined, settings.cors_origin, tickets, narrow);
  const stepsByPath = registerRoutes(app, ROUTES, {
    authenticate,
    limits: burstLimits({ low: 0, mid: 0, high: HIGH_BURST }),
    dispatch: singleNodeDispatch("node", {} as LocalHost, true),
    deadlines: new RequestDeadlines(),
    bodyLimitBytes: 1000,
    nodeName: "node",
    confined: { containerId: async (id) => id, assertVolume: async () => undefined },
  });
  const { log: program, entries } = quietLog();
  const handleError = errorHandler(program);
  app.use(handleError);
  const viaExpress = jest.spyOn(app as unknown as { handle(): void }, "handle");
  const steps = new Map([...stepsByPath].map(([path, own]) => [path, [...stepsBefore(path), ...own]]));
  const server = http.createServer(isShort ? shortWay(app, steps, handleError) : app);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return {
    viaExpress,
    /** Sends bytes and reads until the server closes the connection. */
    async send(bytes: string): Promise<string> {
      const socket = net.connect(port, "127.0.0.1");
      socket.write(bytes);
      return text(socket);
    },
    /** What it wrote, without times and ids. */
    written: () => ({
      audited: audited.map(({ timestamp, duration_ms, request_id, ...entry }) => entry),
      counted,
      logged: entries.map(({ level, message, fields }) => [level, message, fields?.code]),
    }),
    stop: () => new Promise((resolve) => server.close(resolve)),
  };
}

type Server = Awaited<ReturnType<typeof startServer>>;

const withoutIdsAndTimes = (answer: string) =>
  answer
    .replace(/^Date: .*$/gm, "Date: -")
    .replace(/"timestamp":"[^"]*"/g, '"timestamp":"-"')
    .replace(/[0-9a-f]{8}-[0-9a-f-]{27}/g, "ID")
    .replace(/; t=\d+/g, "; t=-");

const request = (target: string, ...lines: string[]) =>
  [`GET ${target} HTTP/1.1`, "Host: node", "Connection: close", ...lines, "", ""].join("\r\n");

/** Requests of all kinds for fixed paths, in the spelling that takes the short way. */
const SHORT: Record<string, string[]> = {
  "good credentials": [request("/", GOOD), request("/metrics", GOOD), request("/stream", GOOD)],
  "other ways to present them": [
    request("/", `X-Access-Token: ${TOKEN}`),
    request("/", `x-api-key: ${TOKEN}`),
    request("/", `authorization: basic ${Buffer.from(`any:${TOKEN}`).toString("base64")}`),
  ],
  "missing credentials": [request("/"), request("/metrics"), request("/health")],
  "wrong credentials, past their limit": Array.from({ length: 4 }, () => request("/metrics", "Authorization: Bearer wrong")),
  "the end of the burst": Array.from({ length: HIGH_BURST + 2 }, () => request("/", GOOD)),
  "narrow tokens": [
    request("/", `Authorization: ${narrowToken({ can: ["read"] })}`),
    request("/", `Authorization: ${narrowToken({ labels: { a: "b" } })}`),
    request("/metrics", `Authorization: ${narrowToken({ labels: { a: "b" } })}`),
    request("/metrics", `Authorization: ${narrowToken({ can: ["read"] })}`),
    request("/metrics", `Authorization: ${narrowToken({ from: ["192.0.2.1"] })}`),
    request("/metrics", `Authorization: ${narrowToken({ nodes: ["another"] })}`),
    request("/metrics", `Authorization: ${narrowToken({ expires: 1 })}`),
  ],
  "a request id": [request("/health", "X-Request-Id: mine"), request("/health", "X-Request-Id: not one")],
  "a page of another origin": [
    request("/", GOOD, "Origin: http://elsewhere.example", "Sec-Fetch-Site: cross-site"),
    request("/", GOOD, "Origin: http://ours.example", "Sec-Fetch-Site: cross-site"),
  ],
  "a browser": [request("/", "Accept: text/html,*/*;q=0.8"), request("/health", "Accept: text/html")],
  "odd headers": [request("/health", "Accept:", "Cookie: a", "If-None-Match: *", "X-Forwarded-For: 192.0.2.1", "Range: bytes=0-1")],
  "HTTP/1.0": ["GET /health HTTP/1.0\r\n\r\n", `GET / HTTP/1.0\r\n${GOOD}\r\n\r\n`],
  "several on one connection": [
    `GET /health HTTP/1.1\r\nHost: node\r\n\r\nGET / HTTP/1.1\r\nHost: node\r\n${GOOD}\r\n\r\n${request("/metrics", GOOD)}`,
  ],
  errors: [request("/broken", GOOD), request("/stopping", GOOD)],
};

/** Requests that are none of those, and go to Express. */
const OTHER: Record<string, string[]> = {
  "a query": [request("/health?"), request("/health?node=other"), request("/?explain=true", GOOD), request("/metrics?a=1", GOOD)],
  "another spelling": ["/health/", "//health", "/HEALTH", "/%68ealth", "http://node/health", "/health#", "*"].map((target) =>
    request(target, GOOD),
  ),
  "a path that another route matches": [request("/some", GOOD), request("/constructor", GOOD), request("/__proto__", GOOD)],
  "a body": [request("/health", "Content-Length: 2").concat("{}"), request("/health", "Transfer-Encoding: chunked").concat("0\r\n\r\n")],
  "another method": ["HEAD", "OPTIONS", "POST", "PUT", "DELETE", "TRACE"].map((method) => request("/health", GOOD).replace("GET", method)),
};

describe.each([
  ["by default", { cors_origin: [], https: false }],
  ["with HTTPS and pages of another origin", { cors_origin: ["http://ours.example"], https: true }],
])("the short way %s", (_title, settings) => {
  let short: Server;
  let express: Server;

  beforeEach(async () => {
    short = await startServer(true, settings);
    express = await startServer(false, settings);
  });

  afterEach(() => Promise.all([short.stop(), express.stop()]));

  async function expectSameAnswers(requests: string[]): Promise<void> {
    for (const each of requests) {
      const answer = withoutIdsAndTimes(await short.send(each));
      expect(answer).toMatch(/^HTTP\/1\.1 \d{3} /);
      expect(answer).toBe(withoutIdsAndTimes(await express.send(each)));
    }
    expect(short.written()).toEqual(express.written());
    expect(short.written().audited.length).toBeGreaterThanOrEqual(requests.length);
  }

  test.each(Object.entries(SHORT))("answers, audits and counts as Express does: %s", async (_kind, requests) => {
    await expectSameAnswers(requests);
    expect(short.viaExpress).not.toHaveBeenCalled();
    expect(express.viaExpress.mock.calls.length).toBeGreaterThanOrEqual(requests.length);
  });

  test.each(Object.entries(OTHER))("leaves to Express: %s", async (_kind, requests) => {
    await expectSameAnswers(requests);
    expect(short.viaExpress).toHaveBeenCalledTimes(requests.length);
  });
});
