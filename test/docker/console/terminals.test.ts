import type { Browser, Page } from "playwright-core";
import { until } from "../../../scripts/process";
import { fetchOutside, startBrowser, visit } from "../../support/browser";
import { generatePool, Refusal, type StandIn, startStandIn } from "../../support/console-stand-in";

const SHOWN_MS = 60_000;
const ID = "0".repeat(64);

let standIn: StandIn;
let browser: Browser;
let page: Page;
beforeAll(async () => {
  standIn = await startStandIn({ ...generatePool(2, 1), [`POST /ws/${ID}/ticket`]: { ticket: "one", expires_in: 30 } });
  browser = await startBrowser();
});
beforeEach(async () => {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 } });
  context.setDefaultTimeout(SHOWN_MS);
  await context.grantPermissions(["clipboard-read", "clipboard-write"]);
  await fetchOutside(context);
  page = await context.newPage();
  await visit(page, `${standIn.url}/console/containers/${ID}/terminal`);
  await page.getByLabel("Token", { exact: true }).fill("any");
  await page.getByRole("button", { name: "Sign in" }).click();
  await shows("shell $");
});
afterEach(async () => {
  await page.context().close();
  await until(async () => standIn.terminals.length === 0, SHOWN_MS);
});
afterAll(async () => {
  await browser?.close();
  await standIn?.stop();
});

/** The shell that is shown. */
const panel = () => page.getByRole("tabpanel");
const shows = (text: string | RegExp) => panel().locator(".xterm-rows").getByText(text).first().waitFor();
const showsNewPrompt = () =>
  panel()
    .locator(".xterm-rows > div")
    .filter({ hasText: /^shell \$\s*$/ })
    .first()
    .waitFor();
const last = () => standIn.terminals.at(-1) as StandIn["terminals"][number];
const receivedLast = (type: string) =>
  last()
    .received.filter((message) => message.type === type)
    .at(-1);

test("each shell has a tab; what is typed goes to the one that is shown, and the others go on", async () => {
  await page.keyboard.type("first");
  await shows("shell $ first");
  await page.getByRole("button", { name: "New shell" }).click();
  await shows(/^shell \$ *$/);
  expect(standIn.terminals).toHaveLength(2);
  await page.keyboard.type("second");
  await shows("shell $ second");
  await page.getByRole("tab", { name: "Shell 1" }).click();
  await shows("shell $ first");
  expect(await page.getByRole("tab", { name: "Shell 1" }).getAttribute("aria-selected")).toBe("true");
  await page.keyboard.type(" again");
  await shows("shell $ first again");
  await page.getByRole("button", { name: "Close shell" }).click();
  await shows("shell $ second");
  expect(await until(async () => standIn.terminals.length === 1, SHOWN_MS)).toBe(true);
});

test("after a lost connection a new shell opens below what is kept, and the place is marked", async () => {
  await page.keyboard.type("kept");
  await shows("shell $ kept");
  last().socket.terminate();
  await shows("the connection was lost");
  await showsNewPrompt();
  const lines = (await panel().locator(".xterm-rows > div").allTextContents()).map((line) => line.trim()).filter(Boolean);
  expect(lines).toEqual(["shell $ kept", expect.stringContaining("a new one follows"), "shell $"]);
  await page.keyboard.type("more");
  await shows("shell $ more");
});

test("the page of a container stays when its node is no member of the pool any more, and a new shell opens when it is back", async () => {
  const { answers } = standIn;
  await page.keyboard.type("kept");
  await shows("shell $ kept");
  standIn.answers = { ...answers, "GET /": [], [`POST /ws/${ID}/ticket`]: new Refusal(404, "No such node: node-0", "NODE_NOT_FOUND") };
  try {
    await page.getByText("No node that answers has this container.").waitFor();
    last().socket.terminate();
    await page.getByText("No such node: node-0").waitFor();
  } finally {
    standIn.answers = answers;
  }
  await showsNewPrompt();
  await shows("shell $ kept");
  await page.getByText("No node that answers has this container.").waitFor({ state: "detached" });
});

test("a shell that has exited is followed by a new one only if asked for", async () => {
  last().socket.send(JSON.stringify({ type: "exit", code: 0 }));
  last().socket.close();
  await shows("[the terminal has ended]");
  expect(standIn.terminals).toHaveLength(0);
  await page.getByRole("button", { name: "Connect" }).click();
  await showsNewPrompt();
});

test("a shell has the size of the window and is told when that changes", async () => {
  const cols = Number(new URL(last().url, standIn.url).searchParams.get("cols"));
  expect(cols).toBeGreaterThan(80);
  await page.setViewportSize({ width: 600, height: 800 });
  expect(await until(async () => (receivedLast("resize")?.cols ?? cols) < cols, SHOWN_MS)).toBe(true);
});

test("a selection is copied, and a text of several lines is pasted as one", async () => {
  last().socket.send(JSON.stringify({ type: "stdout", data: "\r\nto-copy\x1b[?2004h", encoding: "utf8" }));
  await shows("to-copy");
  await panel().locator(".xterm-rows").getByText("to-copy").first().dblclick({ force: true });
  await page.keyboard.press("Control+Shift+C");
  expect(await until(async () => (await page.evaluate("navigator.clipboard.readText()")) === "to-copy", SHOWN_MS)).toBe(true);
  await page.evaluate("navigator.clipboard.writeText('one\\ntwo')");
  await page.getByRole("button", { name: "Paste" }).click();
  expect(await until(async () => receivedLast("stdin")?.data === "\x1b[200~one\rtwo\x1b[201~", SHOWN_MS)).toBe(true);
});
