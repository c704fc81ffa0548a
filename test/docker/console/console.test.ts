import { readFileSync } from "node:fs";
import type { Browser, Page } from "playwright-core";
import { until } from "../../../scripts/process";
import { fetchOutside, startBrowser, visit } from "../../support/browser";
import { TOKEN } from "../../support/server";
import { type OneNode, startNode } from "../../support/single-node";

const AXE = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");
const MARKUP = '<img src=x onerror="window.hacked=1"><b>bold</b>';
const SHOWN_MS = 60_000;
const NARROW_PAGES = ["containers", "run", "code", "images", "volumes", "search", "logs?containers=web,idle"];

let node: OneNode;
let browser: Browser;
let webId: string;
beforeAll(async () => {
  node = await startNode({ name: "console" });
  browser = await startBrowser();
  const script = `echo 'log ${MARKUP}'; echo done > /tmp/made.txt; exec sleep 1000`;
  const labels = ["--label", `note=${MARKUP}`, "--label", "com.docker.compose.project=shop"];
  webId = await node.docker("run", "-d", "--name", "web", "--env", `SECRET=${MARKUP}`, ...labels, "busybox", "sh", "-c", script);
  await node.docker("run", "-d", "--name", "idle", "busybox", "sleep", "1000");
});
afterAll(async () => {
  await browser?.close();
  await node?.stop();
});

interface OpenConsole {
  page: Page;
  problems: string[];
  foreign: string[];
}

/** Opens an address of the console in a new tab without any storage. @param options.hasClock its timers can be made to run faster */
async function open(address: string, { token, hasClock = false }: { token?: string; hasClock?: boolean } = {}): Promise<OpenConsole> {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 } });
  context.setDefaultTimeout(SHOWN_MS);
  await fetchOutside(context);
  if (hasClock) await context.clock.install();
  const page = await context.newPage();
  const problems: string[] = [];
  const foreign: string[] = [];
  page.on("pageerror", (error) => problems.push(error.message));
  page.on("console", (message) => {
    if (message.type() === "error" || /content security policy/i.test(message.text())) problems.push(message.text());
  });
  context.on("request", (request) => {
    const { protocol, origin } = new URL(request.url());
    if (!["data:", "blob:"].includes(protocol) && origin !== node.server.url) foreign.push(request.url());
  });
  page.on("dialog", (dialog) => void dialog.accept());
  await visit(page, node.server.url + address);
  await page
    .getByLabel("Token", { exact: true })
    .waitFor()
    .catch(() => expect(problems).toEqual(["the page asks for a token"]));
  if (token !== undefined) await signIn(page, token);
  return { page, problems, foreign };
}

async function signIn(page: Page, token: string): Promise<void> {
  await page.getByLabel("Token", { exact: true }).fill(token);
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByRole("button", { name: "Sign out" }).waitFor();
}

/** What a tab must never show, whichever page is open. */
async function expectClean({ page, problems, foreign }: OpenConsole): Promise<void> {
  expect(problems).toEqual([]);
  expect(foreign).toEqual([]);
  expect(await page.evaluate("window.hacked")).toBeUndefined();
  expect(await page.locator("main b, main img").count()).toBe(0);
  await page.context().close();
}

/** The rules of axe-core that a page breaks, with the elements. */
async function faultsOf(page: Page): Promise<string[]> {
  // Not as an element of the page: its policy forbids that.
  await page.evaluate(AXE);
  const result = (await page.evaluate("axe.run()")) as { violations: { id: string; nodes: { html: string }[] }[] };
  return result.violations.flatMap(({ id, nodes }) => nodes.map(({ html }) => `${id}: ${html}`));
}

const main = (page: Page) => page.locator("main");

describe("signing in", () => {
  test("/ leads a browser to the console, and answers every other client as before", async () => {
    const browserAccept = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
    const lead = await fetch(`${node.server.url}/`, { redirect: "manual", headers: { Accept: browserAccept } });
    expect([lead.status, lead.headers.get("location")]).toEqual([303, "/console"]);
    for (const accept of ["*/*", "application/json", "application/json, text/plain, */*"]) {
      const { status, json } = await node.request("GET", "/", { headers: { Accept: accept } });
      expect([status, json.length]).toEqual([200, 2]);
    }
  });

  test("a wrong token is told, and a right one shows the page that was asked for", async () => {
    const opened = await open("/console/images");
    await opened.page.getByLabel("Token", { exact: true }).fill("wrong");
    await opened.page.getByRole("button", { name: "Sign in" }).click();
    await opened.page.getByText("These credentials are not accepted.").waitFor();
    // The browser itself reports the refused request.
    opened.problems.length = 0;
    await signIn(opened.page, TOKEN);
    await main(opened.page).getByText("busybox").first().waitFor();
    expect(new URL(opened.page.url()).pathname).toBe("/console/images");
    await expectClean(opened);
  });

  test("the token stays in the tab; remembered is a narrower one, which can't make tokens", async () => {
    const opened = await open("/console/containers");
    await opened.page.getByLabel("Remember me").check();
    await signIn(opened.page, TOKEN);
    const kept = (await opened.page.evaluate("Object.values(localStorage)")) as string[];
    expect(kept).toHaveLength(1);
    expect(kept[0]).not.toContain(TOKEN);
    const headers = { Authorization: kept[0] as string };
    const { json } = await node.request("GET", "/whoami", { anonymous: true, headers });
    expect([json.can.includes("read"), json.can.includes("admin")]).toEqual([true, false]);
    expect(await opened.page.evaluate("document.cookie")).toBe("");
    await opened.page.getByRole("button", { name: "Sign out" }).click();
    await opened.page.getByLabel("Token", { exact: true }).waitFor();
    expect(await opened.page.evaluate("localStorage.length + sessionStorage.length")).toBe(0);
    await expectClean(opened);
  });

  test("a narrow token sees only the pages that it may look at", async () => {
    const { json } = await node.request("POST", "/tokens", { json: { can: ["read"], expires: "1h" } });
    const opened = await open("/console/containers", { token: json.token });
    await main(opened.page).getByRole("link", { name: "web" }).waitFor();
    expect(await opened.page.getByRole("navigation").getByRole("link").allTextContents()).toEqual(["Containers", "Images", "Volumes"]);
    expect(await opened.page.getByRole("button", { name: "Remove" }).count()).toBe(0);
    await opened.page.getByRole("link", { name: "web" }).click();
    await opened.page.getByRole("link", { name: "Inspect" }).waitFor();
    expect(await opened.page.getByRole("link", { name: "Terminal" }).count()).toBe(0);
    await expectClean(opened);
  });

  test.each(["/console/assets/..%2fbin%2fdocker-server.js", "/console/assets/constructor", "/console/assets/"])(
    "%s is no file of the console",
    async (address) => {
      expect((await node.request("GET", address, { anonymous: true })).text).not.toContain("require(");
    },
  );
});

describe("the pages", () => {
  test.each([
    ["nodes", /28\.|27\.|20\./],
    ["containers", "web"],
    ["run", "docker run --detach"],
    ["code", "The same with curl"],
    ["images", "busybox"],
    ["volumes", "None."],
    ["activity", "/whoami"],
  ])("/console/%s shows %s, loads only from this server and violates no policy", async (name, text) => {
    const opened = await open(`/console/${name}`, { token: TOKEN });
    await main(opened.page).getByText(text).first().waitFor();
    await expectClean(opened);
  });

  test("containers are grouped by project, filtered as one types, and have their memory", async () => {
    const opened = await open("/console/containers", { token: TOKEN });
    const { page } = opened;
    await page.getByRole("heading", { name: "shop" }).waitFor();
    await page
      .getByRole("row", { name: /web/ })
      .getByText(/ [kM]?B$/)
      .waitFor();
    await page.keyboard.press("/");
    await page.keyboard.type("idl");
    await page.getByRole("link", { name: "web" }).waitFor({ state: "detached" });
    expect(await page.getByRole("link", { name: "idle" }).count()).toBe(1);
    await page.waitForURL((url) => url.search === "?filter=idl");
    await expectClean(opened);
  });

  test("selected containers are stopped and started together", async () => {
    const opened = await open("/console/containers?filter=idle", { token: TOKEN });
    const { page } = opened;
    const isRunning = async () => (await node.inspect("idle")).State.Running as boolean;
    for (const [action, expected] of [
      ["Stop", false],
      ["Start", true],
    ] as const) {
      await page.getByLabel("Select idle").check();
      await page.getByRole("button", { name: action, exact: true }).click();
      await page.getByText(`${action}: done`).waitFor();
      expect(await isRunning()).toBe(expected);
    }
    await expectClean(opened);
  });

  test("the logs of selected containers are one stream in the order of their times", async () => {
    const opened = await open("/console/containers", { token: TOKEN });
    const { page } = opened;
    for (const name of ["web", "idle"]) await page.getByLabel(`Select ${name}`).check();
    await page.getByRole("button", { name: "Follow logs" }).click();
    await page.getByRole("heading", { name: "Follow logs" }).waitFor();
    expect(new URL(page.url()).searchParams.get("containers")?.split(",").sort()).toEqual(["idle", "web"]);
    await page.getByRole("log").getByText(`log ${MARKUP}`).waitFor();
    const names = ["web", "idle", "web", "idle"];
    for (const [index, name] of names.entries()) await node.docker("exec", name, "sh", "-c", `echo merged ${index} > /proc/1/fd/1`);
    const rows = page.getByRole("log").locator("> div").filter({ hasText: "merged" });
    await rows.nth(3).waitFor();
    expect((await rows.allTextContents()).map((text) => text.slice("00:00:00.000".length))).toEqual(
      names.map((name, index) => `${name}merged ${index}`),
    );
    await expectClean(opened);
  });

  test("a form runs a container, and shows it as a line of curl and of docker", async () => {
    const opened = await open("/console/run", { token: TOKEN });
    const { page } = opened;
    await page.getByLabel("Image", { exact: true }).fill("busybox");
    await page.getByLabel("Name", { exact: true }).fill("made");
    await page.getByLabel("Command").fill("sleep 1000");
    await page.getByText("docker run --detach --name made busybox sleep 1000").waitFor();
    await page.getByRole("button", { name: "Run" }).click();
    await page.getByText(/made: running/).waitFor();
    expect((await node.inspect("made")).Config.Cmd).toEqual(["sleep", "1000"]);
    await page.getByRole("link", { name: "Open" }).click();
    await page.getByRole("heading", { name: "made" }).waitFor();
    await page.getByRole("button", { name: "Remove" }).click();
    await page.getByRole("heading", { name: "Containers" }).waitFor();
    expect(await node.names()).not.toContain("made");
    await expectClean(opened);
  });

  test("a text is searched in the logs, its lines lead to their containers, and markup in them stays text", async () => {
    const opened = await open("/console/search", { token: TOKEN });
    const { page } = opened;
    await page.getByLabel("Text", { exact: true }).fill("LOG <img");
    await page.getByRole("button", { name: "Search", exact: true }).click();
    await page.getByText("1 lines found").waitFor();
    await page.getByRole("row", { name: /web/ }).getByText(`log ${MARKUP}`).waitFor();
    expect(await faultsOf(page)).toEqual([]);
    await page.getByRole("link", { name: "web" }).click();
    await page.getByRole("heading", { name: "web" }).waitFor();
    await expectClean(opened);
  });

  test("a hidden tab asks for nothing until it is shown again", async () => {
    const opened = await open("/console/containers", { token: TOKEN, hasClock: true });
    const { page } = opened;
    await page.getByRole("row", { name: /web/ }).waitFor();
    const setHidden = (isHidden: boolean) =>
      page.evaluate(`Object.defineProperty(document, "hidden", { configurable: true, value: ${isHidden} });
        document.dispatchEvent(new Event("visibilitychange"));`);
    await setHidden(true);
    const asked: string[] = [];
    page.on("request", (request) => asked.push(request.url()));
    await page.clock.runFor(120_000);
    await page.evaluate("0");
    expect(asked).toEqual([]);
    await setHidden(false);
    await until(async () => asked.length > 0, SHOWN_MS);
    expect(asked.length).toBeGreaterThan(0);
    await expectClean(opened);
  });

  test("Ctrl+K leads to a container", async () => {
    const opened = await open("/console/images", { token: TOKEN });
    await opened.page.keyboard.press("Control+k");
    await opened.page.getByLabel("A page or a container").fill("idle");
    await opened.page.getByRole("button", { name: /^idle/ }).waitFor();
    await opened.page.keyboard.press("Enter");
    await opened.page.getByRole("heading", { name: "idle" }).waitFor();
    await expectClean(opened);
  });

  test("a key that is pressed as soon as a page is there is not lost", async () => {
    const opened = await open("/console/images");
    await opened.page.evaluate(`
      const observer = new MutationObserver(() => {
        if (document.querySelector("dialog") === null) return;
        observer.disconnect();
        dispatchEvent(new KeyboardEvent("keydown", { key: "k", ctrlKey: true }));
      });
      observer.observe(document, { childList: true, subtree: true });
    `);
    await signIn(opened.page, TOKEN);
    await opened.page.getByLabel("A page or a container").fill("idle");
    await expectClean(opened);
  });
});

describe("a container", () => {
  test("its log is followed, and markup in it stays text", async () => {
    const opened = await open(`/console/containers/${webId}/logs`, { token: TOKEN });
    await opened.page.getByText(`log ${MARKUP}`).waitFor();
    await node.docker("exec", "web", "sh", "-c", "echo later > /proc/1/fd/1");
    await opened.page.getByText("later").waitFor();
    await expectClean(opened);
  });

  test("its log of any length keeps the page small: the newest lines are shown, older ones counted, and scrolled up they stand still", async () => {
    const opened = await open(`/console/containers/${webId}/logs`, { token: TOKEN });
    const { page } = opened;
    const rows = page.getByRole("log").locator("> div");
    await node.docker("exec", "web", "sh", "-c", "seq 1 20000 | sed 's/^/number /' > /proc/1/fd/1");
    await rows.getByText("number 20000", { exact: true }).waitFor();
    await page.getByText(/^3000 lines, 1[678]\d{3} earlier ones dropped$/).waitFor();
    expect(await rows.count()).toBeLessThan(1000);
    await page.getByRole("log").press("Home");
    await rows.getByText("number 17001", { exact: true }).waitFor();
    await node.docker("exec", "web", "sh", "-c", "echo after > /proc/1/fd/1");
    await page.getByText(/^3000 lines, \d+ earlier ones dropped$/).waitFor();
    expect(await rows.getByText("after", { exact: true }).count()).toBe(0);
    await page.getByRole("button", { name: "Go to the newest lines" }).click();
    await rows.getByText("after", { exact: true }).waitFor();
    await page.getByLabel("Filter").fill("number 19999");
    await page.getByText(/^1 lines/).waitFor();
    expect(await rows.allTextContents()).toEqual([expect.stringMatching(/^[\d:.]{12}number 19999$/)]);
    await expectClean(opened);
  });

  test("its log is shown from a time on, by level, with JSON as people read it, and downloaded as a range", async () => {
    const written = [
      { level: "warn", msg: "low disk", free: 3 },
      { level: "info", msg: MARKUP },
    ].map((line) => JSON.stringify(line));
    const before = (await node.docker("exec", "web", "date", "-u", "+%Y-%m-%dT%H:%M:%SZ")).trim();
    await until(async () => (await node.docker("exec", "web", "date", "-u", "+%Y-%m-%dT%H:%M:%SZ")).trim() !== before, 10_000);
    for (const line of written) await node.docker("exec", "web", "sh", "-c", `echo '${line}' > /proc/1/fd/1`);
    const since = new Date(Date.parse(before) + 1000).toISOString();
    const opened = await open(`/console/logs?containers=web&since=${since}&follow=false`, { token: TOKEN });
    const { page } = opened;
    const rows = page.getByRole("log").locator("> div");
    await rows.getByText("low disk").waitFor();
    expect(await rows.allTextContents()).toEqual([
      expect.stringMatching(/WARN low disk free=3 $/),
      expect.stringContaining(`INFO ${MARKUP}`),
    ]);
    await page.getByLabel("Level").selectOption("warn");
    await rows.nth(1).waitFor({ state: "detached" });
    await page.waitForURL((url) => url.searchParams.get("level") === "warn");
    const [download] = await Promise.all([page.waitForEvent("download"), page.getByRole("button", { name: "Download" }).click()]);
    const lines = readFileSync(await download.path(), "utf8").split("\n");
    expect(lines.map((line) => line.slice(line.indexOf(" ") + 1))).toEqual([...written, ""]);
    await expectClean(opened);
  });

  test("its variables are hidden until asked for, and markup in labels and variables stays text", async () => {
    const opened = await open(`/console/containers/${webId}/inspect`, { token: TOKEN });
    const text = opened.page.getByLabel("Inspect", { exact: true }).and(opened.page.locator("pre"));
    await text.waitFor();
    expect(await text.textContent()).toContain(JSON.stringify({ note: MARKUP }).slice(1, -1).replace(":", ": "));
    expect(JSON.parse((await text.textContent()) ?? "").env.SECRET).toBe("••••••");
    await opened.page.getByLabel("Show the values of variables").check();
    expect(JSON.parse((await text.textContent()) ?? "").env.SECRET).toBe(MARKUP);
    await expectClean(opened);
  });

  test("a chart shows what it uses", async () => {
    const opened = await open(`/console/containers/${webId}/stats`, { token: TOKEN });
    await opened.page.locator(".chart canvas").waitFor();
    await opened.page.getByText(/^CPU: [\d.]+ % · Memory: /).waitFor();
    await expectClean(opened);
  });

  test("a terminal opens a shell by a ticket", async () => {
    const opened = await open(`/console/containers/${webId}/terminal`, { token: TOKEN });
    await opened.page.locator(".xterm-helper-textarea").waitFor({ state: "attached" });
    // The prompt: what is typed before the shell runs is lost.
    await opened.page.locator(".xterm-rows").getByText("#").first().waitFor();
    await opened.page.locator(".xterm").click();
    await opened.page.keyboard.type("echo $((6*7))-answer\n");
    await opened.page.locator(".xterm").getByText("42-answer").first().waitFor();
    await expectClean(opened);
  });

  test("its files are listed, downloaded and uploaded", async () => {
    const opened = await open(`/console/containers/${webId}/files`, { token: TOKEN });
    const { page } = opened;
    await page.getByLabel("Folder").fill("/tmp");
    await page.getByRole("button", { name: "Open" }).click();
    const [download] = await Promise.all([page.waitForEvent("download"), page.getByRole("button", { name: "Download made.txt" }).click()]);
    expect(readFileSync(await download.path(), "utf8")).toBe("done\n");
    const files = ["a.txt", "ü <b>.txt"].map((name) => ({ name, mimeType: "text/plain", buffer: Buffer.from(`content of ${name}`) }));
    await page.getByLabel("Upload files").setInputFiles(files);
    await page.getByText("2 files uploaded").waitFor();
    await page.getByText("ü <b>.txt", { exact: true }).waitFor();
    expect(await node.docker("exec", "web", "cat", "/tmp/ü <b>.txt")).toBe("content of ü <b>.txt");
    await expectClean(opened);
  });
});

test("axe-core finds nothing on any page, in both colour schemes and at phone width", async () => {
  const { page } = await open("/console/containers");
  const expectNoFaults = async (name: string) => {
    for (const colorScheme of ["light", "dark"] as const) {
      await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
      for (const width of [1280, 390]) {
        await page.setViewportSize({ width, height: 900 });
        // Nothing but a table scrolls sideways.
        const fits = await page.evaluate("document.documentElement.scrollWidth <= innerWidth");
        expect({ name, colorScheme, width, fits, faults: await faultsOf(page) }).toEqual({
          name,
          colorScheme,
          width,
          fits: true,
          faults: [],
        });
      }
    }
  };
  await expectNoFaults("sign-in");
  await signIn(page, TOKEN);
  const parts = ["logs", "stats", "inspect", "terminal", "files"].map((part) => `containers/${webId}/${part}`);
  for (const name of ["nodes", ...NARROW_PAGES, "activity", ...parts]) {
    await visit(page, `${node.server.url}/console/${name}`);
    await page.getByRole("heading", { level: 1 }).waitFor();
    await main(page).getByText("Loading…").waitFor({ state: "detached" });
    await expectNoFaults(name);
  }
  await page.context().close();
});
