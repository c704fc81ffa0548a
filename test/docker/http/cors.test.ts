import http from "node:http";
import type { AddressInfo } from "node:net";
import type { Browser } from "playwright-core";
import { startBrowser } from "../../support/browser";
import { ask, startServer, type TestServer, TOKEN } from "../../support/server";

let browser: Browser;
let pages: http.Server[];
let allowed: string;
let other: string;
let server: TestServer;
beforeAll(async () => {
  const serve: http.RequestListener = (_request, response) => response.setHeader("Content-Type", "text/html").end("<title>page</title>");
  pages = [http.createServer(serve), http.createServer(serve)];
  const origins = pages.map(async (page) => {
    await new Promise<void>((resolve) => page.listen(0, "127.0.0.1", resolve));
    return `http://127.0.0.1:${(page.address() as AddressInfo).port}`;
  });
  [allowed, other] = (await Promise.all(origins)) as [string, string];
  server = await startServer({ args: ["--cors_origin", allowed], env: { DOCKER_HOST: "unix:///nonexistent/docker.sock" } });
  browser = await startBrowser();
});
afterAll(async () => {
  await browser?.close();
  await server?.stop();
  for (const page of pages ?? []) page.close();
});

/** Sends a request with a token from a page; returns the error code and whether the request id is readable, or the browser's refusal. */
async function fromPage(origin: string, method: string, path: string): Promise<string> {
  const page = await browser.newPage();
  await page.goto(origin);
  const result = await page.evaluate(
    async ([url, verb, token]) => {
      const headers = { Authorization: `Bearer ${token}`, "Content-Type": "application/json" };
      const body = verb !== "PUT" ? null : '{"image":"busybox"}';
      try {
        const response = await fetch(url as string, { method: verb as string, headers, body });
        return `${((await response.json()) as { code: string }).code} ${response.headers.has("x-request-id")}`;
      } catch {
        return "refused by the browser";
      }
    },
    [server.url + path, method, TOKEN],
  );
  await page.close();
  return result;
}

test.each([
  ["GET", "/containers"],
  ["PUT", "/"],
  ["DELETE", "/containers/any"],
])("a page of an allowed origin may %s %s, and a page of another may not", async (method, path) => {
  expect(await fromPage(allowed, method, path)).toBe("ENGINE_UNREACHABLE true");
  expect(await fromPage(other, method, path)).toBe("refused by the browser");
});

test("a browser's stored credentials are not sent for other origins, and other requests need credentials", async () => {
  const answer = await ask(server.url, "GET", "/version", { headers: { Origin: allowed } });
  expect(answer.headers.get("access-control-allow-origin")).toBe(allowed);
  expect(answer.headers.get("access-control-allow-credentials")).toBeNull();
  const foreign = await ask(server.url, "PUT", "/", { json: { image: "busybox" }, headers: { Origin: other } });
  expect([foreign.status, foreign.json.code, foreign.headers.get("access-control-allow-origin")]).toEqual([403, "CROSS_SITE", null]);
});

test("by default no origin is allowed, and a wildcard never is", async () => {
  const env = { DOCKER_HOST: "unix:///nonexistent/docker.sock" };
  const withoutOrigins = await startServer({ env });
  try {
    const { headers } = await ask(withoutOrigins.url, "GET", "/version", { headers: { Origin: allowed } });
    expect(headers.get("access-control-allow-origin")).toBeNull();
  } finally {
    await withoutOrigins.stop();
  }
  await expect(startServer({ args: ["--cors_origin=*"], env })).rejects.toThrow("must be an origin");
});
