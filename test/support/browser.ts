import { type Browser, chromium, type Page } from "playwright-core";

/**
 * Debian's; it reaches nothing but this machine.
 * @param hosts that it reaches beside loopback: addresses of engines' hosts
 */
export function startBrowser(...hosts: string[]): Promise<Browser> {
  const reached = ["127.0.0.1", ...hosts].map((host) => `EXCLUDE ${host}`);
  return chromium.launch({
    executablePath: "/usr/bin/chromium-headless-shell",
    args: ["--no-sandbox", `--host-resolver-rules=${["MAP * ~NOTFOUND", ...reached].join(", ")}`],
  });
}

export interface OpenedPage {
  page: Page;
  /** URL of every request that the page made, whatever became of it. */
  requests: string[];
  /** Everything that went wrong: failed requests, statuses of errors, errors in the console, violations of the page's policy. */
  problems: string[];
}

/**
 * Opens a page and writes down what it asks for and what goes wrong on it.
 * @param httpCredentials what its user types when asked
 */
export async function openPage(
  browser: Browser,
  url: string,
  httpCredentials?: { username: string; password: string },
): Promise<OpenedPage> {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...(httpCredentials ? { httpCredentials } : {}) });
  const page = await context.newPage();
  const requests: string[] = [];
  const troubles: string[] = [];
  context.on("request", (request) => requests.push(request.url()));
  context.on("requestfailed", (request) => troubles.push(`${request.url()} failed: ${request.failure()?.errorText}`));
  context.on("response", (response) => {
    if (response.status() >= 400) troubles.push(`${response.url()} answered ${response.status()}`);
  });
  page.on("pageerror", (error) => troubles.push(`error: ${error.message}`));
  page.on("console", (message) => {
    if (message.type() === "error" || /content security policy/i.test(message.text())) troubles.push(`console: ${message.text()}`);
  });
  await page.goto(url, { waitUntil: "networkidle" });
  return { page, requests, problems: troubles };
}
