import { type Browser, type BrowserContext, chromium, type Page } from "playwright-core";

/**
 * Starts Debian's Chromium, which reaches only this machine.
 * @param hosts addresses of engines' hosts that it reaches beside loopback
 */
export function startBrowser(...hosts: string[]): Promise<Browser> {
  const reachable = ["127.0.0.1", ...hosts].map((host) => `EXCLUDE ${host}`);
  return chromium.launch({
    executablePath: "/usr/bin/chromium-headless-shell",
    args: ["--no-sandbox", `--host-resolver-rules=${["MAP * ~NOTFOUND", ...reachable].join(", ")}`],
  });
}

/**
 * Has this process send the requests of a browser, except those for pages and streams without an end. Chromium itself gives up a
 * request whenever a network interface of the machine comes or goes, as with each container of another suite (ERR_NETWORK_CHANGED).
 */
export async function fetchOutside(context: BrowserContext): Promise<void> {
  await context.route(
    ({ searchParams }) => !searchParams.has("follow") && !searchParams.has("stream"),
    async (route) => {
      // A page that the browser has not loaded itself may not open a WebSocket to a local address.
      if (route.request().isNavigationRequest()) return route.continue();
      try {
        await route.fulfill({ response: await route.fetch({ maxRedirects: 0, maxRetries: 3 }) });
      } catch {
        // The page was left meanwhile, or the server is gone.
        await route.abort().catch(() => undefined);
      }
    },
  );
}

/** Opens an address in a page, anew if the machine's interfaces changed meanwhile. */
export async function visit(page: Page, url: string): Promise<void> {
  const isOpen = async () => {
    try {
      await page.goto(url);
      return true;
    } catch (error) {
      if (String(error).includes("ERR_NETWORK_CHANGED")) return false;
      throw error;
    }
  };
  while (!(await isOpen()));
}

export interface OpenedPage {
  page: Page;
  /** URL of every request that the page made, failed ones included. */
  requests: string[];
  /** Failed requests, responses with an error status, errors in the console, violations of the page's security policy. */
  problems: string[];
}

/**
 * Opens a page and records its requests and problems.
 * @param httpCredentials answers of the user to the browser's login dialog
 */
export async function openPage(
  browser: Browser,
  url: string,
  httpCredentials?: { username: string; password: string },
): Promise<OpenedPage> {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...(httpCredentials ? { httpCredentials } : {}) });
  const page = await context.newPage();
  const requests: string[] = [];
  const problems: string[] = [];
  context.on("request", (request) => requests.push(request.url()));
  context.on("requestfailed", (request) => problems.push(`${request.url()} failed: ${request.failure()?.errorText}`));
  context.on("response", (response) => {
    if (response.status() >= 400) problems.push(`${response.url()} answered ${response.status()}`);
  });
  page.on("pageerror", (error) => problems.push(`error: ${error.message}`));
  page.on("console", (message) => {
    if (message.type() === "error" || /content security policy/i.test(message.text())) problems.push(`console: ${message.text()}`);
  });
  await page.goto(url, { waitUntil: "networkidle" });
  return { page, requests, problems };
}
