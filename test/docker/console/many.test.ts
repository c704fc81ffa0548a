import { readFileSync } from "node:fs";
import type { Browser, Page } from "playwright-core";
import { until } from "../../../scripts/process";
import { fetchOutside, startBrowser, visit } from "../../support/browser";
import { generatePool, type StandIn, startStandIn } from "../../support/console-stand-in";

const AXE = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");
const NODES = 1000;
const CONTAINERS = 30_000;
/** In a window of this height no more than this number of rows are elements. */
const MAX_ROWS = 60;
const SHOWN_MS = 60_000;

let standIn: StandIn;
let browser: Browser;
let page: Page;
beforeAll(async () => {
  standIn = await startStandIn(generatePool(NODES, CONTAINERS));
  browser = await startBrowser();
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 } });
  context.setDefaultTimeout(SHOWN_MS);
  await fetchOutside(context);
  // The list has 20 MB: the browser reads it itself, and again soon if that fails.
  await context.route(
    ({ pathname }) => pathname === "/",
    (route) => route.continue(),
  );
  page = await context.newPage();
  await visit(page, `${standIn.url}/console/containers`);
  await page.getByLabel("Token", { exact: true }).fill("any");
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByRole("button", { name: "Sign out" }).waitFor();
});
afterAll(async () => {
  await browser?.close();
  await standIn?.stop();
});

const region = () => page.getByRole("region");
const rowCount = () => page.locator("tbody tr").count();
const names = () => page.locator("tbody th[scope=row]").allTextContents();
/** The place of each drawn row in the whole table. */
const places = () =>
  page.locator("tbody tr[aria-rowindex]").evaluateAll((rows) => rows.map((row) => Number(row.getAttribute("aria-rowindex"))));

describe("30,000 containers", () => {
  beforeEach(async () => {
    await visit(page, `${standIn.url}/console/containers`);
    await page.getByText(`${CONTAINERS} in all`).waitFor();
  });

  test("only the rows in view are elements, and each tells its place in the whole table", async () => {
    await page.getByRole("link", { name: "web-0", exact: true }).waitFor();
    expect(await rowCount()).toBeLessThan(MAX_ROWS);
    // The header, the containers, and the headings of the projects and of those without one.
    const total = Number(await page.getByRole("table").getAttribute("aria-rowcount"));
    expect(total).toBe(1 + CONTAINERS + 32 + 1);
    expect((await places()).slice(0, 3)).toEqual([2, 3, 4]);
    await region().evaluate((box) => box.scrollTo(0, box.scrollHeight));
    await page.getByRole("link", { name: "web-29999", exact: true }).waitFor();
    expect((await places()).at(-1)).toBe(total);
    expect(await rowCount()).toBeLessThan(MAX_ROWS);
    // Nothing is cut off at the end.
    const isInView = await page.getByRole("link", { name: "web-29999", exact: true }).evaluate((link) => {
      const outer = link.closest("[role=region]").getBoundingClientRect();
      return link.getBoundingClientRect().bottom <= outer.bottom;
    });
    expect(isInView).toBe(true);
  });

  test("what is typed filters all of them, from the first row on", async () => {
    await region().evaluate((box) => box.scrollTo(0, box.scrollHeight / 2));
    await page.keyboard.press("/");
    await page.keyboard.type("web-2999 NODE-99");
    await page.getByText(`11 of ${CONTAINERS}`).waitFor();
    await page.getByLabel("Group by project").uncheck();
    expect(await names()).toEqual(["web-2999", ...Array.from({ length: 10 }, (_, digit) => `web-2999${digit}`)]);
  });

  test("the keyboard scrolls the table, and the row that has the focus keeps it wherever the table is scrolled", async () => {
    const link = page.getByRole("link", { name: "web-0", exact: true });
    await link.focus();
    await region().evaluate((box) => box.scrollTo(0, box.scrollHeight / 2));
    expect(await until(async () => ((await places()).at(-1) ?? 0) > 1000, SHOWN_MS)).toBe(true);
    expect(await page.evaluate("document.activeElement.textContent")).toBe("web-0");
    expect(await rowCount()).toBeLessThan(MAX_ROWS);
    await region().focus();
    await page.keyboard.press("End");
    await page.getByRole("link", { name: "web-29999", exact: true }).waitFor();
  });

  test("all that a filter shows are selected at once, whether drawn or not", async () => {
    await page.getByLabel("Filter").fill("project-3 running");
    await page.getByText(/ of 30000$/).waitFor();
    const shown = Number((await page.getByText(/ of 30000$/).textContent())?.split(" ")[0]);
    await page.getByLabel("Select all", { exact: true }).check();
    await page.getByText(`${shown} selected`).waitFor();
    expect(shown).toBeGreaterThan(MAX_ROWS);
  });

  test("axe-core finds nothing", async () => {
    await page.evaluate(AXE);
    const { violations } = (await page.evaluate("axe.run()")) as { violations: { id: string }[] };
    expect(violations.map(({ id }) => id)).toEqual([]);
  });
});

test("1,000 nodes: only those in view are elements, the missing one is named, and a filter finds it", async () => {
  await visit(page, `${standIn.url}/console/nodes`);
  await page.getByText(`${NODES} in all`).waitFor();
  expect(await rowCount()).toBeLessThan(MAX_ROWS);
  expect(await page.getByRole("table").getAttribute("aria-rowcount")).toBe(String(NODES + 1));
  await page.getByText("what they hold is not shown: node-999").waitFor();
  await page.getByLabel("Filter").fill("no answer");
  await page.getByText(`1 of ${NODES}`).waitFor();
  expect(await names()).toEqual(["node-999"]);
});
