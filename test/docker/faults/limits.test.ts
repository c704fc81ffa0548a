import { appendFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import type { Caveats } from "../../../lib/access/caveats";
import { deriveTokenKey, makeToken } from "../../../lib/access/token";
import { until } from "../../../scripts/process";
import { type Engine, leaseEngine } from "../../support/engine";
import { importBusybox } from "../../support/images";
import { startLimited } from "../../support/limited-server";
import type { TestServer } from "../../support/server";
import { auditEntries, everythingLogged } from "../../support/single-node";
import { openTerminal } from "../../support/terminal";

let engine: Engine;
let server: TestServer;
beforeAll(async () => {
  engine = await leaseEngine({ name: "limits" });
  await importBusybox(engine);
  await engine.docker(["run", "-d", "--name", "box", "busybox", "sleep", "1000"]);
});
afterAll(() => engine?.stop());
afterEach(() => server?.stop("SIGKILL"));

const LOW = 3;
const MID = 5;
const HIGH = 7;
/** Starts the server; a burst flag in `extraArgs` replaces the default one. */
const start = async (...extraArgs: string[]) => {
  const defaults = [`--low_burst=${LOW}`, `--mid_burst=${MID}`, `--high_burst=${HIGH}`];
  const bursts = defaults.filter((flag) => !extraArgs.some((other) => other.split("=")[0] === flag.split("=")[0]));
  server = await startLimited(engine, ["--token=first", "--token=second", ...bursts, ...extraArgs]);
};
const as = (token: string, from?: string) => ({
  headers: { Authorization: `Bearer ${token}`, ...(from === undefined ? {} : { "X-Forwarded-For": from }) },
});

async function statuses(count: number, ask: () => Promise<{ status: number }>): Promise<number[]> {
  const statusList: number[] = [];
  for (let turn = 0; turn < count; turn++) statusList.push((await ask()).status);
  return statusList;
}

test("each burst class has its own limit a minute, and the next request is 429 with Retry-After", async () => {
  await start();
  const pull = () => server.request("HEAD", "/-malformed", as("first"));
  const logs = () => server.request("GET", "/box", as("first"));
  const list = () => server.request("GET", "/", as("first"));
  expect(await statuses(LOW + 1, pull)).toEqual([...Array(LOW).fill(400), 429]);
  expect(await statuses(MID + 1, logs)).toEqual([...Array(MID).fill(200), 429]);
  expect(await statuses(HIGH + 1, list)).toEqual([...Array(HIGH).fill(200), 429]);
  const refused = await list();
  expect(refused.json).toMatchObject({ status: 429, error: "rate_limited", code: "TOO_MANY_REQUESTS", details: { burst: "high" } });
  const seconds = Number(refused.headers.get("retry-after"));
  expect(seconds).toBeGreaterThan(0);
  expect(seconds).toBeLessThanOrEqual(60);
});

test("run and exec are in the low burst class, remove in the middle one", async () => {
  await start();
  const low = [
    () => server.request("PUT", "/", { ...as("first"), json: {} }),
    () => server.request("POST", "/box", { ...as("first"), json: {} }),
    () => server.request("HEAD", "/-malformed", as("first")),
    () => server.request("PUT", "/", { ...as("first"), json: {} }),
  ];
  const statusList: number[] = [];
  for (const ask of low) statusList.push((await ask()).status);
  expect(statusList).toEqual([400, 400, 400, 429]);
  expect(await statuses(MID + 1, () => server.request("DELETE", "/not-there", as("first")))).toEqual([...Array(MID).fill(404), 429]);
});

test("the standard headers report the limit, the rest of it and the time to its reset", async () => {
  await start();
  const first = await server.request("GET", "/", as("first"));
  expect(first.headers.get("ratelimit-policy")).toMatch(new RegExp(`^"high"; q=${HIGH}; w=60`));
  expect(first.headers.get("ratelimit")).toMatch(new RegExp(`^"high"; r=${HIGH - 1}; t=\\d+`));
  const second = await server.request("GET", "/", as("first"));
  expect(second.headers.get("ratelimit")).toMatch(new RegExp(`^"high"; r=${HIGH - 2}; t=\\d+`));
});

test("requests are counted per credential", async () => {
  await start();
  expect(await statuses(HIGH + 1, () => server.request("GET", "/", as("first")))).toContain(429);
  expect((await server.request("GET", "/", as("second"))).status).toBe(200);
});

test("health checks and the documentation have no limit", async () => {
  await start();
  expect(new Set(await statuses(20, () => server.request("GET", "/health")))).toEqual(new Set([200]));
  expect(new Set(await statuses(20, () => server.request("GET", "/openapi.json")))).toEqual(new Set([200]));
});

test("without --trust_proxy an invented address doesn't reset the count", async () => {
  await start();
  let turn = 0;
  const statusList = await statuses(HIGH + 1, () => server.request("GET", "/", as("first", `192.0.2.${++turn}`)));
  expect(statusList.at(-1)).toBe(429);
});

test("with --trust_proxy clients behind a load balancer are counted by the address that it adds", async () => {
  await start("--trust_proxy=1");
  expect(await statuses(HIGH + 1, () => server.request("GET", "/", as("first", "192.0.2.1")))).toContain(429);
  expect((await server.request("GET", "/", as("first", "192.0.2.2"))).status).toBe(200);
  // An address that the client itself wrote stands further left and doesn't count.
  expect((await server.request("GET", "/", as("first", "203.0.113.9, 192.0.2.1"))).status).toBe(429);
  // The line is written after the response.
  expect(await until(() => auditEntries(server).some((entry) => entry.address === "192.0.2.2"), 10_000)).toBe(true);
});

test("wrong credentials are limited per address, and right ones are never refused because of them", async () => {
  await start("--trust_proxy=1");
  const good = (from: string) => server.request("GET", "/", as("first", from));
  const wrong = (from: string) => server.request("GET", "/", as("guess", from));
  expect((await good("192.0.2.1")).status).toBe(200);
  expect(await statuses(LOW + 1, () => wrong("192.0.2.1"))).toEqual([...Array(LOW).fill(401), 429]);
  const refused = await wrong("192.0.2.1");
  expect(refused.json).toMatchObject({ code: "TOO_MANY_WRONG_CREDENTIALS", error: "rate_limited" });
  expect(Number(refused.headers.get("retry-after"))).toBeGreaterThan(0);
  expect((await good("192.0.2.1")).status).toBe(200);
  // A client that was not seen from this address before: behind a load balancer without --trust_proxy all have the same.
  expect((await server.request("GET", "/", as("second", "192.0.2.1"))).status).toBe(200);
});

test("a token that is removed from the token file loses its terminal, its followed log, its events of the Docker API and its tickets; others keep theirs", async () => {
  const file = path.join(engine.folder, "tokens");
  writeFileSync(file, "# ci\nremoved\nkept\n");
  await start(`--token_file=${file}`, "--high_burst=0", "--mid_burst=0", "--low_burst=0");
  expect((await server.request("GET", "/", as("# ci"))).status).toBe(401);
  const terminalOf = (token: string) => openTerminal(server.url, "/ws/box?cols=80", { anonymous: true, ...as(token) });
  const [removed, kept] = [await terminalOf("removed"), await terminalOf("kept")];
  for (const terminal of [removed, kept]) {
    terminal.type("echo $((40+2))\n");
    await terminal.shows(/42/);
  }
  const log = await fetch(`${server.url}/box?follow=true`, as("removed"));
  const events = await fetch(`${server.url}/v1.41/events`, as("removed"));
  const { ticket } = (await server.request("POST", "/ws/box/ticket", as("removed"))).json as { ticket: string };
  writeFileSync(file, "# ci\n# removed\nkept\n");
  await removed.closed();
  await expect(log.text()).rejects.toThrow();
  await expect(events.text()).rejects.toThrow();
  expect((await server.request("GET", "/", as("removed"))).status).toBe(401);
  await expect(openTerminal(server.url, `/ws/box?cols=80&ticket=${ticket}`, { anonymous: true })).rejects.toThrow("401");
  kept.type("echo $((40+3))\n");
  await kept.shows(/43/);
  kept.socket.terminate();
  const shells = async () => (await engine.docker(["top", "box"])).stdout.split("\n").filter((line) => /\bsh\b/.test(line)).length;
  expect(await until(async () => (await shells()) === 0, 20_000)).toBe(true);
});

test("every request has an id: its own if that is well-formed, otherwise a new one", async () => {
  await start("--high_burst=0");
  const accepted = await server.request("GET", "/", { headers: { ...as("first").headers, "X-Request-Id": "lb-1:abc.DEF_9" } });
  expect(accepted.headers.get("x-request-id")).toBe("lb-1:abc.DEF_9");
  for (const bad of ["with space", "x".repeat(200), 'quo"te', "<script>"]) {
    const answer = await server.request("GET", "/", { headers: { ...as("first").headers, "X-Request-Id": bad } });
    expect(answer.headers.get("x-request-id")).toMatch(/^[0-9a-f-]{36}$/);
  }
  const refused = await server.request("GET", "/none", { headers: { ...as("first").headers, "X-Request-Id": "to-be-found" } });
  expect(refused.json.request_id).toBe("to-be-found");
});

test("the audit log has a line for each request, with client, outcome and duration and without secrets", async () => {
  await start();
  await server.request("GET", "/?node=other", as("first"));
  await server.request("PUT", "/", { ...as("first"), json: { image: "busybox", env: { A: "hidden-value" }, data: "true" } });
  await server.request("GET", "/box", as("wrong-token-value"));
  await server.request("GET", "/box");
  const auditedRequests = () => auditEntries(server).filter((entry) => entry.path !== "/health");
  await until(() => auditedRequests().length >= 4, 10_000);
  const entries = auditedRequests();
  const common = {
    timestamp: expect.stringMatching(/^\d{4}-.*Z$/),
    request_id: expect.any(String),
    duration_ms: expect.any(Number),
    address: "127.0.0.1",
  };
  const unauthorized = {
    ...common,
    method: "GET",
    path: "/box",
    status: 401,
    user: null,
    error: "auth_error",
    message: expect.any(String),
  };
  expect(entries).toEqual([
    {
      ...common,
      method: "GET",
      path: "/",
      status: 404,
      user: expect.stringMatching(/^token-/),
      error: "not_found",
      code: "NODE_NOT_FOUND",
      message: expect.stringMatching(/^No such node: other \(there are: 127\.0\.0\.1:\d+\)$/),
    },
    {
      ...common,
      method: "PUT",
      path: "/",
      status: 200,
      user: expect.stringMatching(/^token-/),
      image: "busybox",
      name: expect.any(String),
      id: expect.any(String),
      ran_on: expect.any(String),
      engine_ms: expect.any(Number),
    },
    { ...unauthorized, code: "WRONG_CREDENTIALS" },
    { ...unauthorized, code: "MISSING_CREDENTIALS" },
  ]);
  const logged = everythingLogged(server);
  for (const secret of ["hidden-value", "wrong-token-value", "first"]) expect(logged).not.toContain(secret);
});

test("GET /audit streams the audit log to who has the permission admin, and tells of damaged lines", async () => {
  await start("--low_burst=0");
  const expires = Math.floor(Date.now() / 1000) + 3600;
  const narrow = (caveats: Caveats) => makeToken(deriveTokenKey("first"), { expires, ...caveats });
  const reader = narrow({ can: ["read"] });
  for (const token of [reader, narrow({ can: ["admin"], labels: { customer: "a" } })])
    expect(await server.request("GET", "/audit", as(token))).toMatchObject({ status: 403, json: { code: "REFUSED_BY_TOKEN" } });
  appendFileSync(path.join(server.folder, "logs/actions.jsonl"), "damaged\n");
  const read = async (query: string) => {
    const { status, headers, text } = await server.request("GET", `/audit?${query}`, as(narrow({ can: ["admin"] })));
    expect([status, headers.get("content-type")]).toEqual([200, "application/x-ndjson; charset=utf-8"]);
    return text
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line));
  };
  const refusals = async () => (await read("since=1h")).filter((entry) => entry.path === "/audit" && entry.status === 403);
  expect(await until(async () => (await refusals()).length === 2, 10_000)).toBe(true);
  expect(await refusals()).toMatchObject([
    { node: expect.any(String), token: expect.any(String), caveats: [{ can: ["read"] }], decision: "refused by can" },
    { token: expect.any(String), caveats: [{ labels: { customer: "a" } }], decision: "refused by labels" },
  ]);
  const complete = { event: "result", complete: true, missing: [] };
  const [first, second, result] = await read("limit=2");
  expect([typeof first.timestamp, typeof second.timestamp, result]).toEqual([
    "string",
    "string",
    { ...complete, entries: 2, damaged_lines: 0 },
  ]);
  expect(await read(`until=${first.timestamp}`)).toEqual([{ ...complete, entries: 0, damaged_lines: 1 }]);
  for (const query of ["since=yesterday", "limit=0", "follow=true"])
    expect((await server.request("GET", `/audit?${query}`, as("first"))).status).toBe(400);
});

test("cross-site requests of a browser are refused, same-origin requests are not", async () => {
  await start("--low_burst=0", "--mid_burst=0");
  const { host } = new URL(server.url);
  const send = (method: string, pathname: string, origin: string) =>
    server.request(method, pathname, { headers: { ...as("first").headers, Origin: origin }, form: "data=true&image=busybox" });
  for (const origin of ["http://evil.example", "null", `http://${host}.evil.example`, "http://127.0.0.1:1"]) {
    for (const [method, pathname] of [
      ["POST", "/box"],
      ["DELETE", "/box"],
      ["PUT", "/"],
    ] as const) {
      const answer = await send(method, pathname, origin);
      expect([origin, method, answer.status, answer.json.code]).toEqual([origin, method, 403, "CROSS_SITE"]);
    }
  }
  expect((await send("POST", "/box", `http://${host}`)).status).toBe(400); // past authentication: exec has no field `image`
  expect((await server.request("GET", "/", as("first"))).headers.get("access-control-allow-origin")).toBeNull();
});
