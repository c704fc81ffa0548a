import type { Page } from "playwright-core";
import { startBrowser } from "../test/support/browser";
import { generatePool, startStandIn } from "../test/support/console-stand-in";
import { median } from "./compare";
import { heapMegabytes, openConsole } from "./console-page";
import type { AbsoluteMeasurement } from "./report";

const NODES = 1000;
const CONTAINERS = 30_000;
const FILTER = "project-17 redis node-3";
const SCROLL_STEPS = 120;

/** Types a filter key by key. @returns ms from each key to the end of the frame that shows its rows */
const typeFilter = (page: Page): Promise<number[]> =>
  page.evaluate(`(async () => {
    const field = document.getElementById("filter");
    const times = [];
    for (const key of ${JSON.stringify(FILTER)}) {
      const start = performance.now();
      field.value += key;
      field.dispatchEvent(new Event("input", { bubbles: true }));
      await new Promise((resolve) => requestAnimationFrame(() => setTimeout(() => requestAnimationFrame(() => setTimeout(resolve)))));
      times.push(performance.now() - start);
    }
    return times;
  })()`);

/** Scrolls through the whole list. @returns ms between two frames */
const scroll = (page: Page): Promise<number[]> =>
  page.evaluate(`(async () => {
    const box = document.querySelector("[role=region]");
    const times = [];
    for (let step = 0; step < ${SCROLL_STEPS}; step += 1) {
      const start = performance.now();
      box.scrollTo(0, (box.scrollHeight * step) / ${SCROLL_STEPS});
      await new Promise((resolve) => requestAnimationFrame(() => setTimeout(resolve)));
      times.push(performance.now() - start);
    }
    return times;
  })()`);

/** The console with a large generated pool: what is typed until the frame that shows it, frames while it scrolls, and memory. */
export async function benchConsoleMany(): Promise<AbsoluteMeasurement[]> {
  const standIn = await startStandIn(generatePool(NODES, CONTAINERS));
  const browser = await startBrowser();
  try {
    const page = await browser.newPage({ viewport: { width: 1280, height: 800 } });
    const start = performance.now();
    await openConsole(page, `${standIn.url}/console/containers`);
    await page.getByText(`${CONTAINERS} in all`).waitFor();
    const listedMs = performance.now() - start;
    const scrolled = await scroll(page);
    const typed = await typeFilter(page);
    const title = `${NODES} nodes, ${CONTAINERS} containers`;
    return [
      { title: `${title}: from the visit, with sign-in, to the list`, value: listedMs, unit: "ms" },
      { title: `${title}: from a key of the filter to its rows and one frame more`, value: median(typed), unit: "ms", atMost: 100 },
      { title: `${title}: the same, slowest key`, value: Math.max(...typed), unit: "ms", atMost: 100 },
      { title: `${title}: frame while scrolling`, value: median(scrolled), unit: "ms" },
      { title: `${title}: the same, slowest frame`, value: Math.max(...scrolled), unit: "ms" },
      { title: `${title}: heap of the page`, value: await heapMegabytes(page), unit: "MB" },
    ];
  } finally {
    await browser.close();
    await standIn.stop();
  }
}
