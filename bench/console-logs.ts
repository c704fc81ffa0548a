import type { Browser, Page } from "playwright-core";
import { startBrowser } from "../test/support/browser";
import type { Bed } from "./bed";
import { heapMegabytes, openConsole } from "./console-page";
import { withContainer } from "./container";
import type { AbsoluteMeasurement } from "./report";
import { residentMegabytes } from "./start";

const LINES_PER_SECOND = 10_000;
const BATCHES_PER_SECOND = 20;
/** Until everything that a page loads once is loaded. */
const WARM_UP_MS = 10_000;
const FOLLOW_MS = 60_000;
const batch = `for (i = 0; i < ${LINES_PER_SECOND / BATCHES_PER_SECOND}; i++) print "INFO line", n++, "of a log with some text in it"`;
const WRITE_COMMAND = ["awk", `BEGIN { while (1) { ${batch}; fflush(); system("usleep ${1_000_000 / BATCHES_PER_SECOND}") } }`];

/** The console while it follows a container that writes fast: its longest task, and what memory grows by. */
export async function benchConsoleLogs(bed: Bed): Promise<AbsoluteMeasurement[]> {
  const browser = await startBrowser();
  try {
    return await withContainer(bed, WRITE_COMMAND, async (id) => {
      const page = await browser.newPage();
      // Chromium reports tasks of 50 ms and more.
      await page.addInitScript(
        'window.tasks = []; new PerformanceObserver((list) => tasks.push(...list.getEntries().map(({ duration }) => duration))).observe({ type: "longtask" });',
      );
      await openConsole(page, `${bed.server.url}/console/containers/${id}/logs`);
      await page.waitForTimeout(WARM_UP_MS);
      const before = await measure(bed, browser, page);
      await page.evaluate("tasks.length = 0");
      const startedAt = performance.now();
      await page.waitForTimeout(FOLLOW_MS);
      const seconds = (performance.now() - startedAt) / 1000;
      const longestTask = (await page.evaluate("Math.max(0, ...tasks)")) as number;
      const after = await measure(bed, browser, page);
      const title = `console following ${Math.round((after.lastLine - before.lastLine) / seconds)} lines/s`;
      return [
        { title: `${title}, longest task (0: none of 50 ms)`, value: longestTask, unit: "ms", atMost: 100 },
        { title: `${title}, growth of the page's heap`, value: after.heap - before.heap, unit: "MB", atMost: 50 },
        { title: `${title}, growth of the tab's process`, value: after.tab - before.tab, unit: "MB", atMost: 50 },
        { title: `${title}, growth of the server`, value: after.server - before.server, unit: "MB" },
      ];
    });
  } finally {
    await browser.close();
  }
}

/** The number of the last line that the page shows, and MB that page and server take. */
async function measure(bed: Bed, browser: Browser, page: Page) {
  const text = (await page.locator(".log > div").last().textContent()) ?? "";
  return {
    lastLine: Number(/line (\d+) of/.exec(text)?.[1]),
    heap: await heapMegabytes(page),
    tab: await tabMegabytes(browser),
    server: residentMegabytes(bed.server.process.pid),
  };
}

/** Resident memory of the processes that draw pages. */
async function tabMegabytes(browser: Browser): Promise<number> {
  const session = await browser.newBrowserCDPSession();
  const { processInfo } = await session.send("SystemInfo.getProcessInfo");
  await session.detach();
  return processInfo.filter(({ type }) => type === "renderer").reduce((total, { id }) => total + residentMegabytes(id), 0);
}
