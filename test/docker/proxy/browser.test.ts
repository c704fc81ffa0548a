import { randomUUID } from "node:crypto";
import type { Browser } from "playwright-core";
import WebSocket from "ws";
import { until } from "../../../scripts/process";
import { type OpenedPage, openPage, startBrowser } from "../../support/browser";
import { type Answer, ask, type RequestOptions, startServer, TOKEN } from "../../support/server";
import { type OneNode, startNode } from "../../support/single-node";
import { gotHeader, startWeb } from "../../support/web-container";

const APP = "http://app.example";
const USER = { username: "ann", password: "her-password" };
const [web, other] = ["web", "other"].map((name) => `${name}-${randomUUID().slice(0, 8)}`) as [string, string];

let node: OneNode;
let browser: Browser;
let pages: string;

beforeAll(async () => {
  const args = ["--proxy_port=1718", `--user=${USER.username}`, `--password=${USER.password}`, "--cors_origin", APP];
  node = await startNode({ name: "proxy-browser", inside: true, args });
  pages = `http://${node.engine.address}:1718`;
  for (const name of [web, other]) await startWeb(node.engine, name);
  browser = await startBrowser(node.engine.address);
});

afterAll(async () => {
  await browser?.close();
  await node?.stop();
});

const onProxyPort = (method: string, path: string, options: RequestOptions = {}): Promise<Answer> => ask(pages, method, path, options);
const anonymously = (method: string, path: string, headers: Record<string, string> = {}) =>
  onProxyPort(method, path, { anonymous: true, headers });

async function signIn(): Promise<string> {
  const { headers } = await onProxyPort("GET", `/proxy/${web}/`);
  return headers.getSetCookie()[0]?.split(";")[0] as string;
}

/** The results of the requests that the page's script made. */
async function scriptResults({ page }: OpenedPage): Promise<string[]> {
  expect(await until(async () => (await page.title()).startsWith("["), 20_000)).toBe(true);
  return JSON.parse(await page.title());
}

test("one sign-in loads a page with all its resources, and no page sees the browser's credentials", async () => {
  const watched = await openPage(browser, `${pages}/proxy/${web}/page/`, USER);
  const [data = "", version = ""] = await scriptResults(watched);
  expect(await watched.page.evaluate("getComputedStyle(document.body).color")).toBe("rgb(1, 2, 3)");
  const received = JSON.parse(data);
  expect([received.method, received.url, gotHeader(received, "authorization"), gotHeader(received, "cookie")]).toEqual([
    "POST",
    "/page/data",
    undefined,
    undefined,
  ]);
  expect(JSON.parse(version).code).toBe("ROUTE_NOT_FOUND");
  const [cookie] = await watched.page.context().cookies(`${pages}/proxy/${web}/`);
  expect(cookie).toMatchObject({ name: "docker-server-proxy", path: `/proxy/${web}/`, httpOnly: true, sameSite: "Lax" });
  expect(await watched.page.evaluate("document.cookie")).toBe("");
  // With the cookie only, as after a restart of the browser.
  const context = await browser.newContext();
  await context.addCookies(await watched.page.context().cookies());
  const page = await context.newPage();
  expect((await page.goto(`${pages}/proxy/${web}/page/`))?.status()).toBe(200);
  expect(await until(async () => (await page.title()).startsWith("["), 20_000)).toBe(true);
  expect((await page.goto(`${pages}/proxy/${other}/page/`))?.status()).toBe(401);
  await Promise.all([context.close(), watched.page.context().close()]);
});

test("on the main port the page is sandboxed and its script can't read the API", async () => {
  const watched = await openPage(browser, `${node.server.url}/proxy/${web}/page/`, USER);
  expect(await scriptResults(watched)).toEqual(["refused by the browser", "refused by the browser"]);
  expect(await watched.page.evaluate("origin")).toBe("null");
  await watched.page.context().close();
});

test("valid credentials get a cookie, and without credentials each container has its own realm", async () => {
  const basic = (text: string) => ({ Authorization: `Basic ${Buffer.from(text).toString("base64")}` });
  for (const headers of [
    { "X-Access-Token": TOKEN },
    { Authorization: `Bearer ${TOKEN}` },
    basic(TOKEN),
    basic(`:${TOKEN}`),
    basic("ann:her-password"),
  ]) {
    const { status, headers: responseHeaders } = await anonymously(
      "GET",
      `/proxy/${web}/status?code=404`,
      headers as Record<string, string>,
    );
    expect([status, responseHeaders.getSetCookie(), responseHeaders.get("content-security-policy")]).toEqual([
      404,
      [expect.stringMatching(new RegExp(`^docker-server-proxy=\\S+; Path=/proxy/${web}/; Max-Age=\\d+; HttpOnly; SameSite=Lax$`))],
      null,
    ]);
  }
  const refused = await anonymously("GET", `/proxy/${web}/`);
  expect([refused.status, refused.json.code, refused.headers.getSetCookie()]).toEqual([401, "MISSING_CREDENTIALS", []]);
  expect(refused.headers.get("www-authenticate")).toBe(`Basic realm="docker-server /proxy/${web}/", charset="UTF-8"`);
});

test("a cookie is valid for its container's path on this port only", async () => {
  const cookie = await signIn();
  const received = await anonymously("GET", `/proxy/${web}/x`, { Cookie: `a=1; ${cookie}` });
  expect([received.status, gotHeader(received.json, "cookie"), received.headers.getSetCookie()]).toEqual([200, "a=1", []]);
  expect((await anonymously("GET", `/proxy/${other}/x`, { Cookie: cookie })).status).toBe(401);
  expect((await anonymously("GET", "/containers", { Cookie: cookie })).status).toBe(404);
  for (const path of ["/containers", `/proxy/${web}`, `/proxy/${web}/x`]) {
    const { status, json } = await ask(node.server.url, "GET", path, { anonymous: true, headers: { Cookie: cookie } });
    expect([status, json.code]).toEqual([401, "MISSING_CREDENTIALS"]);
  }
});

test("a forged cookie is ignored, and does not block valid credentials", async () => {
  const cookie = await signIn();
  const forged = [`${cookie}x`, cookie.replace(/\d+/, "99999999999"), "docker-server-proxy=1.YW5u.x"];
  for (const Cookie of forged) {
    const { status, json } = await anonymously("GET", `/proxy/${web}/`, { Cookie });
    expect([status, json.code]).toEqual([401, "MISSING_CREDENTIALS"]);
  }
  const { status, headers } = await onProxyPort("GET", `/proxy/${web}/`, { headers: { Cookie: `${cookie}x` } });
  expect([status, headers.getSetCookie().length]).toEqual([200, 1]);
});

test("with a cookie the container's own Authorization is forwarded, this server's never is", async () => {
  const Cookie = await signIn();
  const receivedAuthorization = async (headers: Record<string, string>) =>
    gotHeader((await anonymously("GET", `/proxy/${web}/`, { Cookie, ...headers })).json, "authorization");
  expect(await receivedAuthorization({ Authorization: "Bearer its-own" })).toBe("Bearer its-own");
  expect(await receivedAuthorization({ Authorization: `Bearer ${TOKEN}` })).toBeUndefined();
  expect(await receivedAuthorization({ Authorization: `Bearer ${TOKEN}`, "X-Forward-Authorization": "true" })).toBeUndefined();
});

test("changes and upgrades from pages of other origins are refused, also with --cors_origin", async () => {
  const Cookie = await signIn();
  for (const Origin of ["http://evil.example", "null", node.server.url, APP]) {
    const { status, json } = await anonymously("POST", `/proxy/${web}/`, { Cookie, Origin });
    expect([status, json.code]).toEqual([403, "CROSS_SITE"]);
  }
  expect((await anonymously("POST", `/proxy/${web}/`, { Cookie, Origin: pages })).status).toBe(200);
  const openSocket = (origin: string) =>
    new Promise<string>((resolve) => {
      const socket = new WebSocket(`${pages.replace("http", "ws")}/proxy/${web}/socket`, { origin, headers: { Cookie } });
      socket.on("open", () => socket.close()).on("close", () => resolve("open"));
      socket.on("error", (error) => resolve(error.message));
    });
  expect(await openSocket(pages)).toBe("open");
  expect(await openSocket("http://evil.example")).toMatch("403");
});

test("the path without its trailing slash is redirected, and every other path is 404", async () => {
  const response = await fetch(`${pages}/proxy/${web}?a=1`, { redirect: "manual" });
  expect([response.status, response.headers.get("location")]).toEqual([307, `/proxy/${web}/?a=1`]);
  for (const [method, path] of [
    ["GET", "/"],
    ["GET", "/health"],
    ["GET", "/proxy/"],
    ["GET", "/proxy/..%2Fx"],
    ["POST", `/proxy/${web}`],
    ["PUT", "/"],
  ] as const) {
    const { status, json } = await onProxyPort(method, path);
    expect([status, json.code, json.request_id]).toEqual([404, "ROUTE_NOT_FOUND", expect.any(String)]);
  }
});

test("on the main port preflights of allowed origins need no credentials, all other requests do", async () => {
  const preflight = (Origin: string) => ({
    Origin,
    "Access-Control-Request-Method": "PUT",
    "Access-Control-Request-Headers": "x-access-token",
  });
  const send = (method: string, headers: Record<string, string>, anonymous = true) =>
    ask(node.server.url, method, `/proxy/${web}/x`, { anonymous, headers });
  const answer = await send("OPTIONS", preflight(APP));
  expect([answer.status, answer.headers.get("access-control-allow-origin"), answer.headers.get("access-control-allow-headers")]).toEqual([
    204,
    APP,
    "x-access-token",
  ]);
  expect((await send("OPTIONS", preflight("http://evil.example"))).status).toBe(401);
  expect((await send("OPTIONS", { Origin: APP })).status).toBe(401);
  expect((await send("OPTIONS", { Origin: APP }, false)).json.method).toBe("OPTIONS");
  const put = await send("PUT", { Origin: APP }, false);
  expect([put.json.method, put.headers.get("access-control-allow-origin")]).toEqual(["PUT", APP]);
  expect((await anonymously("OPTIONS", `/proxy/${web}/x`, preflight(APP))).status).toBe(401);
});

test("a proxy port that is in use is an error at the start", async () => {
  const env = { DOCKER_HOST: "unix:///nonexistent/docker.sock" };
  const first = await startServer({ env });
  try {
    await expect(startServer({ env, args: [`--proxy_port=${first.port}`] })).rejects.toThrow(
      /Port \d+ is in use: another program, or another docker-server, listens at it \(.*EADDRINUSE/,
    );
  } finally {
    await first.stop();
  }
});

test("a stop lets running requests on the proxy port finish, and then closes the port", async () => {
  const stream = await fetch(`${pages}/proxy/${web}/bytes?size=50000000&chunked`, { headers: { "X-Access-Token": TOKEN } });
  const stopped = node.server.stop();
  const closed = () =>
    fetch(`${pages}/proxy/`).then(
      () => false,
      () => true,
    );
  expect(await until(closed, 20_000)).toBe(true);
  expect((await stream.arrayBuffer()).byteLength).toBe(50_000_000);
  await stopped;
});
