import type { Page } from "playwright-core";
import { visit } from "../test/support/browser";
import { TOKEN } from "../test/support/server";

const BYTES_PER_MB = 1_000_000;

/** Opens an address of the console and signs in. */
export async function openConsole(page: Page, url: string): Promise<void> {
  await visit(page, url);
  await page.getByLabel("Token", { exact: true }).fill(TOKEN);
  await page.getByRole("button", { name: "Sign in" }).click();
}

/** What the scripts of a page hold, after a collection of garbage. */
export async function heapMegabytes(page: Page): Promise<number> {
  const session = await page.context().newCDPSession(page);
  await session.send("HeapProfiler.collectGarbage");
  const { usedSize } = await session.send("Runtime.getHeapUsage");
  await session.detach();
  return usedSize / BYTES_PER_MB;
}
