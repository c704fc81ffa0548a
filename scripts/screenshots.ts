import { mkdirSync, statSync } from "node:fs";
import path from "node:path";
import type { Page } from "playwright-core";
import { fetchOutside, startBrowser, visit } from "../test/support/browser";
import { startStandIn } from "../test/support/console-stand-in";
import { API_ID, SAMPLE_ANSWERS } from "./screenshots-sample";

// Makes the pictures of docs/console.md from a sample pool: `npm run screenshots`. Whatever the machine has, only a port and a duration differ between runs.

const FOLDER = path.resolve(__dirname, "../docs/console");
const MAX_BYTES = 150_000;
const SIZE = { width: 1180, height: 720 };
const PHONE_SIZE = { width: 390, height: 720 };
/** The time of the sample. */
const NOW = new Date("2026-01-31T12:10:00Z");

interface Picture {
  name: string;
  /** Below /console. */
  address: string;
  /** A text that is there once the page is complete. */
  shows: string;
  act?: (page: Page) => Promise<void>;
  size?: { width: number; height: number };
  colours?: "dark" | "light";
}

const PICTURES: Picture[] = [
  { name: "nodes", address: "nodes", shows: "node-4" },
  { name: "containers", address: "containers", shows: "MB" },
  { name: "containers-phone", address: "containers", shows: "MB", size: PHONE_SIZE, colours: "dark" },
  { name: "logs", address: `containers/${API_ID}/logs`, shows: "listening" },
  { name: "stats", address: `containers/${API_ID}/stats`, shows: "Memory:" },
  { name: "inspect", address: `containers/${API_ID}/inspect`, shows: "DATABASE_PASSWORD" },
  { name: "terminal", address: `containers/${API_ID}/terminal`, shows: "Shell 2", act: openSecondShell },
  { name: "files", address: `containers/${API_ID}/files`, shows: "server.js" },
  { name: "run", address: "run", shows: "Why it is there", act: run },
  { name: "code", address: "code", shows: "Result", act: (page) => page.getByRole("button", { name: "Run" }).click() },
  { name: "images", address: "images", shows: "postgres:16" },
  { name: "volumes", address: "volumes", shows: "shop_db" },
  { name: "search", address: "search", shows: "3 lines found", act: search },
  { name: "activity", address: "activity", shows: "/containers/web/stop", colours: "dark" },
];

async function openSecondShell(page: Page): Promise<void> {
  await page.getByRole("button", { name: "New shell" }).click();
  await page.getByRole("tabpanel").locator(".xterm-rows").getByText("$").first().waitFor();
  await page.keyboard.type("ls -l /app");
}

async function run(page: Page): Promise<void> {
  await page.getByLabel("Image", { exact: true }).fill("redis:7");
  await page.getByLabel("Name", { exact: true }).fill("cache");
  await page.getByLabel("Memory", { exact: true }).fill("256m");
  await page.getByRole("button", { name: "Run" }).click();
}

async function search(page: Page): Promise<void> {
  await page.getByLabel("Text", { exact: true }).fill("timeout");
  await page.getByRole("button", { name: "Search", exact: true }).click();
}

async function main(): Promise<void> {
  mkdirSync(FOLDER, { recursive: true });
  const standIn = await startStandIn(SAMPLE_ANSWERS);
  const browser = await startBrowser();
  try {
    const context = await browser.newContext({ viewport: SIZE, reducedMotion: "reduce", timezoneId: "UTC", locale: "en-GB" });
    await fetchOutside(context);
    const page = await context.newPage();
    await page.clock.setFixedTime(NOW);
    const take = async (name: string) => {
      const file = path.join(FOLDER, `${name}.png`);
      await page.screenshot({ path: file, animations: "disabled", caret: "hide" });
      const { size } = statSync(file);
      console.log(`${file}: ${size} bytes`);
      if (size > MAX_BYTES) throw new Error(`${file} has more than ${MAX_BYTES} bytes`);
    };
    await visit(page, `${standIn.url}/console`);
    await page.getByLabel("Token", { exact: true }).waitFor();
    await take("sign-in");
    await page.getByLabel("Token", { exact: true }).fill("any");
    await page.getByRole("button", { name: "Sign in" }).click();
    await page.getByRole("button", { name: "Sign out" }).waitFor();
    for (const { name, address, shows, act, size = SIZE, colours = "light" } of PICTURES) {
      await page.setViewportSize(size);
      await page.emulateMedia({ colorScheme: colours });
      await visit(page, `${standIn.url}/console/${address}`);
      await page.getByRole("heading", { level: 1 }).waitFor();
      await act?.(page);
      await page.getByText(shows).first().waitFor();
      await take(name);
    }
  } finally {
    await browser.close();
    await standIn.stop();
  }
}

main().catch((error) => {
  console.error(error);
  process.exitCode = 1;
});
