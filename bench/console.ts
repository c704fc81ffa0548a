import type { Page } from "playwright-core";
import { table } from "table";
import { startBrowser } from "../test/support/browser";
import { generatePool, startStandIn } from "../test/support/console-stand-in";

// The console with a large generated pool, in Chromium: what is typed until the frame that shows it, frames while it scrolls, and memory.

const NODES = 1000;
const CONTAINERS = 30_000;
const FILTER = "project-17 redis node-3";
const SCROLL_STEPS = 120;
const BYTES_PER_MB = 1_000_000;

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

async function heapMegabytes(page: Page): Promise<number> {
  const session = await page.context().newCDPSession(page);
  await session.send("HeapProfiler.collectGarbage");
  const { usedSize } = await session.send("Runtime.getHeapUsage");
  await session.detach();
  return usedSize / BYTES_PER_MB;
}

async function main(): Promise<void> {
  const standIn = await startStandIn(generatePool(NODES, CONTAINERS));
  const browser = await startBrowser();
  try {
    const page = await browser.newPage({ viewport: { width: 1280, height: 800 } });
    await page.goto(`${standIn.url}/console/containers`);
    await page.getByLabel("Token", { exact: true }).fill("any");
    const start = performance.now();
    await page.getByRole("button", { name: "Sign in" }).click();
    await page.getByText(`${CONTAINERS} in all`).waitFor();
    const listedMs = performance.now() - start;
    const scrolled = await scroll(page);
    const typed = await typeFilter(page);
    const milliseconds = (values: number[]) => {
      const sorted = [...values].sort((a, b) => a - b);
      return `${sorted[sorted.length >> 1]?.toFixed(0)} (at most ${sorted.at(-1)?.toFixed(0)})`;
    };
    console.log(`${NODES} nodes, ${CONTAINERS} containers:`);
    console.log(
      table([
        ["from sign-in to the list, ms", listedMs.toFixed(0)],
        ["from a key of the filter to its rows and one frame more, ms", milliseconds(typed)],
        ["frame while scrolling, ms", milliseconds(scrolled)],
        ["memory of the page, MB", (await heapMegabytes(page)).toFixed(0)],
      ]),
    );
  } finally {
    await browser.close();
    await standIn.stop();
  }
}

void main();
