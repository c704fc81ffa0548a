import { readFileSync } from "node:fs";
import type { Browser, BrowserContext, Page } from "playwright-core";
import { until } from "../../../scripts/process";
import { fetchOutside, startBrowser, visit } from "../../support/browser";
import { startCluster, type TestCluster, type TestNode } from "../../support/cluster";
import { becomesComplete, startContainer } from "../../support/cluster-containers";
import { containersOf } from "../../support/engine-api";
import { importBusybox, importRunner } from "../../support/images";
import { pushImage, startRegistry } from "../../support/registry";
import { TOKEN } from "../../support/server";
import { dockerOf } from "../../support/single-node";

const SHOWN_MS = 60_000;
/** Writes a numbered line ten times a second. */
const COUNTER = 'echo noted > /note-b.txt; echo spoken; while :; do i=$((i+1)); echo "line $i"; sleep 0.1; done';
const SPEAKER = "echo noted > /note-c.txt; echo spoken; exec sleep 100000";

let cluster: TestCluster;
/** The pages come from the first node, new runs go to the second. */
let [n1, n2, n3] = [] as unknown as [TestNode, TestNode, TestNode];
let browser: Browser;
let context: BrowserContext;
/** The id of a container of the second node that counts. */
let counter: string;
const faults: string[] = [];

beforeAll(async () => {
  cluster = await startCluster({ size: 3, argsOf: ({ address }) => ["--public_url", `http://${address}:1717`] });
  [n1, n2, n3] = cluster.nodes as [TestNode, TestNode, TestNode];
  const script = (name: string, text: string) => ({ name, data: ["sh", "-c", text] });
  const [{ id }] = await Promise.all([
    startContainer(n2, script("counter-b", COUNTER), "n2"),
    startContainer(n3, script("speaker-c", SPEAKER), "n3"),
    startContainer(n3, { name: "spare-c" }, "n3"),
    importRunner(n2.engine),
    importBusybox(n3.engine, "only-c:latest"),
    ...[n2, n3].map(({ engine, name }) => dockerOf(engine, ["volume", "create", `data-${name}`])),
  ]);
  counter = id;
  for (const { name } of [n1, n3]) expect((await n1.request("PATCH", `/nodes/${name}`, { json: { accepting: false } })).status).toBe(200);
  browser = await startBrowser(...cluster.nodes.map(({ engine }) => engine.address));
  context = await browser.newContext({ viewport: { width: 1280, height: 800 } });
  context.setDefaultTimeout(SHOWN_MS);
  await fetchOutside(context);
});
afterAll(async () => {
  await browser?.close();
  await cluster?.stop();
});

/** Opens an address in a new tab and signs in. */
async function openTab(url: string): Promise<Page> {
  const page = await context.newPage();
  page.on("pageerror", (error) => faults.push(error.message));
  page.on("dialog", (dialog) => void dialog.accept());
  await visit(page, url);
  await page.getByLabel("Token", { exact: true }).fill(TOKEN);
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByRole("button", { name: "Sign out" }).waitFor();
  return page;
}
const addressOn = ({ server }: TestNode, address: string) => `${server.url}/console/${address}`;

const rowWith = (page: Page, hasText: string) => page.locator("main tbody tr").filter({ hasText });
const logRows = (page: Page) => page.getByRole("log").locator("> div");
const missing = (page: Page, node: string) => page.getByText(`what they hold is not shown: ${node}`);
const screenOf = async (page: Page) => (await page.locator(".xterm-rows > div").allTextContents()).map((line) => line.trim());

/** Waits until the last line of a terminal is a prompt. */
async function expectPrompt(page: Page): Promise<void> {
  const lastLine = async () => (await screenOf(page)).filter(Boolean).at(-1) ?? "";
  if (!(await until(async () => (await lastLine()).endsWith("#"), SHOWN_MS))) throw new Error(`no prompt: ${await screenOf(page)}`);
}

async function typeInto(page: Page, command: string, output: string): Promise<void> {
  await expectPrompt(page);
  await page.locator(".xterm").click();
  await page.keyboard.type(`${command}\n`);
  await page.locator(".xterm-rows").getByText(output).first().waitFor();
}

async function runCode(page: Page, script: string): Promise<void> {
  await page.getByLabel("Image", { exact: true }).fill("code-runner");
  await page.getByLabel("Payload, JSON").fill(JSON.stringify({ script: Buffer.from(script).toString("base64") }));
  await page.getByRole("button", { name: "Run" }).click();
}

/** The numbers of the counter's lines that are drawn. */
const numbersIn = async (page: Page) =>
  (await logRows(page).allTextContents()).flatMap((text) => Number(/line (\d+)$/.exec(text)?.[1] ?? Number.NaN)).filter(Boolean);

/** The number of the counter's last line, by its engine. */
const lastNumber = async () => Number((await dockerOf(n2.engine, ["logs", "--tail", "1", counter])).replace("line ", ""));

/** Waits until the page shows the lines up to what the container has written now. */
async function expectUpToDate(page: Page): Promise<number> {
  const wanted = await lastNumber();
  const newest = async () => (await numbersIn(page)).at(-1) ?? 0;
  if (!(await until(async () => (await newest()) >= wanted, SHOWN_MS))) throw new Error(`line ${await newest()} instead of ${wanted}`);
  return wanted;
}

/** Scrolls up, so that all lines are drawn: they must be the counter's, from one before `first` on, each once and in order. */
async function expectWholeLog(page: Page, first: number): Promise<void> {
  await page.getByRole("log").press("Home");
  await page.getByRole("button", { name: "Go to the newest lines" }).waitFor();
  const lines = Number.parseInt((await page.getByText(/^\d+ lines/).textContent()) ?? "", 10);
  expect(await until(async () => (await logRows(page).count()) >= lines, SHOWN_MS)).toBe(true);
  const numbers = await numbersIn(page);
  expect(numbers[0]).toBeLessThanOrEqual(first);
  expect(numbers).toEqual(numbers.map((_, index) => (numbers[0] as number) + index));
}

describe("through one node", () => {
  let page: Page;
  beforeAll(async () => {
    page = await openTab(addressOn(n1, "nodes"));
  });
  afterAll(() => page?.close());

  const search = async () => {
    await page.getByLabel("Text", { exact: true }).fill("spoken");
    await page.getByRole("button", { name: "Search", exact: true }).click();
  };
  const run = async () => {
    await page.getByLabel("Image", { exact: true }).fill("busybox");
    await page.getByLabel("Name", { exact: true }).fill("made-b");
    await page.getByLabel("Command").fill("sleep 100000");
    await page.getByRole("button", { name: "Run" }).click();
  };

  /** The counter writes on: the one line of the other container is among the first ones, which are drawn when the log is scrolled up. */
  const scrollToSpeaker = async () => {
    await logRows(page).first().waitFor();
    const isDrawn = async () => {
      for (const key of ["Home", "PageDown", "PageDown", "PageDown"]) {
        await page.getByRole("log").press(key);
        if ((await logRows(page).filter({ hasText: "speaker-c" }).count()) > 0) return true;
      }
      return false;
    };
    expect(await until(isDrawn, SHOWN_MS)).toBe(true);
  };

  /** The rows and texts by which each page tells of the second and the third node, some after an action. */
  const PAGES: [string, RegExp[], (() => Promise<void>)?][] = [
    ["nodes", [/n2.*ok/, /n3.*ok/, /^3 in all$/]],
    ["containers", [/counter-b.*n2/, /speaker-c.*n3/]],
    ["images", [/code-runner:latest.*n2/, /only-c:latest.*n3/]],
    ["volumes", [/data-n2.*n2/, /data-n3.*n3/]],
    ["activity", [/PUT \/.*busybox.*n2/, /PUT \/.*busybox.*n3/]],
    ["search", [/counter-b.*n2.*spoken/, /speaker-c.*n3.*spoken/], search],
    ["logs?containers=counter-b,speaker-c", [/counter-bline \d+$/, /speaker-cspoken$/], scrollToSpeaker],
    ["run", [/made-b: running \(n2\)/, /n2.*chosen/, /n3.*declined/], run],
    ["code", [/"stdout": "42"/], () => runCode(page, "echo $((6*7))")],
    ["containers/counter-b/logs", [/line \d+$/]],
    ["containers/counter-b/stats", [/^CPU: [\d.]+ % · Memory: /]],
    ["containers/counter-b/inspect", [/"host": "n2"/]],
    ["containers/counter-b/terminal", [/^noted/], () => typeInto(page, "cat /note-b.txt", "noted")],
    ["containers/counter-b/files", [/^note-b.txt/]],
    ["containers/speaker-c/logs", [/spoken$/]],
    ["containers/speaker-c/files", [/^note-c.txt/]],
  ];

  // Jest passes a callback of its own for a parameter without a value.
  const cases = PAGES.map(([address, texts, act = async () => undefined]) => [address, texts, act] as const);
  test.each(cases)("/console/%s shows what is on other nodes", async (address, texts, act) => {
    await visit(page, addressOn(n1, address));
    await page.getByRole("heading", { level: 1 }).waitFor();
    await act();
    const places = page.locator("main :is(tr, p, pre, span, .log > div, .xterm-rows > div)");
    for (const hasText of texts) await places.filter({ hasText }).first().waitFor();
    expect(await page.getByText("These nodes did not answer").count()).toBe(0);
    expect(faults).toEqual([]);
  });

  test("containers of other nodes are stopped, started, restarted and removed, several at once and each on its page", async () => {
    const owners = { "act-b": n2.engine, "act-c": n3.engine };
    const names = Object.keys(owners);
    const statesOf = () =>
      Promise.all(
        Object.entries(owners).map(([name, engine]) => dockerOf(engine, ["inspect", "-f", "{{.State.Status}} {{.State.StartedAt}}", name])),
      );
    const left = async () => Promise.all(Object.values(owners).map((engine) => dockerOf(engine, ["ps", "-aq", "--filter", "name=act-"])));
    for (const [name, engine] of Object.entries(owners))
      await dockerOf(engine, ["run", "-d", "--stop-signal=KILL", "--name", name, "busybox", "sleep", "100000"]);
    const actions = [
      ["Stop", "exited"],
      ["Start", "running"],
      ["Restart", "running"],
    ] as const;
    await visit(page, addressOn(n1, "containers?filter=act-"));
    for (const [action, expected] of actions) {
      const before = await statesOf();
      for (const name of names) await page.getByLabel(`Select ${name}`).check();
      await page.getByRole("button", { name: action, exact: true }).click();
      await page.getByText(`${action}: done`).waitFor();
      const states = await statesOf();
      expect(states.map((state) => state.split(" ")[0])).toEqual([expected, expected]);
      expect(states).not.toEqual(before);
    }
    await visit(page, addressOn(n1, "containers/act-b/inspect"));
    for (const [action, expected] of actions) {
      const [before] = await statesOf();
      await page.getByRole("button", { name: action, exact: true }).click();
      const isDone = async () => {
        const [state] = await statesOf();
        return state !== before && state?.startsWith(expected) === true;
      };
      expect(await until(isDone, SHOWN_MS)).toBe(true);
      await page.locator("main p .state").getByText(expected, { exact: true }).waitFor();
    }
    await page.getByRole("button", { name: "Remove", exact: true }).click();
    await page.waitForURL(addressOn(n1, "containers"));
    await page.getByLabel("Select act-c").check();
    await page.getByRole("button", { name: "Remove", exact: true }).click();
    await page.getByText("Remove: done").waitFor();
    expect(await left()).toEqual(["", ""]);
    expect(faults).toEqual([]);
  });

  test("images are pulled on all nodes, and images, volumes and files of other nodes are changed", async () => {
    const registry = await startRegistry();
    try {
      // An image of its own: one that is there already would be listed by its first name.
      await dockerOf(n2.engine, ["create", "--name", "model", "busybox"]);
      await dockerOf(n2.engine, ["commit", "model", "pulled"]);
      await dockerOf(n2.engine, ["rm", "model"]);
      const image = `${await pushImage(n2.engine, registry, "pulled")}:latest`;
      await dockerOf(n2.engine, ["rmi", "pulled"]);
      await visit(page, addressOn(n1, "images"));
      await page.getByLabel("Image", { exact: true }).fill(image);
      await page.getByRole("button", { name: "Pull on all nodes" }).click();
      for (const { name } of cluster.nodes) await rowWith(page, image).filter({ hasText: name }).waitFor();
      await page
        .getByRole("button", { name: `Remove ${image}`, exact: true })
        .first()
        .click();
      const holders = async () =>
        (await Promise.all(cluster.nodes.map(({ engine }) => dockerOf(engine, ["images", "-q", image])))).join("");
      expect(await until(async () => (await holders()) === "", SHOWN_MS)).toBe(true);
    } finally {
      await registry.stop();
    }
    await dockerOf(n3.engine, ["volume", "create", "gone-c"]);
    await visit(page, addressOn(n1, "volumes"));
    await page.getByRole("button", { name: "Remove gone-c" }).click();
    await rowWith(page, "gone-c").waitFor({ state: "detached" });
    expect(await dockerOf(n3.engine, ["volume", "ls", "-q", "--filter", "name=gone-c"])).toBe("");

    await visit(page, addressOn(n1, "containers/counter-b/files"));
    await page.getByLabel("Upload files").setInputFiles([{ name: "up.txt", mimeType: "text/plain", buffer: Buffer.from("sent") }]);
    await page.getByText("1 files uploaded").waitFor();
    expect(await dockerOf(n2.engine, ["exec", counter, "cat", "/up.txt"])).toBe("sent");
    const [download] = await Promise.all([page.waitForEvent("download"), page.getByRole("button", { name: "Download up.txt" }).click()]);
    expect(readFileSync(await download.path(), "utf8")).toBe("sent");
    expect(faults).toEqual([]);
  });
});

describe("when a node is killed", () => {
  afterEach(async () => {
    await Promise.all(context.pages().map((page) => page.close()));
    expect(faults).toEqual([]);
  });

  test("in the middle of followed logs, a terminal and a run: the pages tell it, go on working, and take up what it had when it is back", async () => {
    const tabs = [`containers/${counter}/logs`, "logs?containers=counter-b", `containers/${counter}/terminal`, "code", "containers"];
    const [log, logs, terminal, code, list] = (await Promise.all(tabs.map((address) => openTab(addressOn(n1, address))))) as [
      ...[Page, Page, Page, Page, Page],
    ];
    await typeInto(terminal, "echo before-$((6*7))", "before-42");
    await runCode(code, "exec sleep 54321");
    const processes = async () => {
      const ids = (await containersOf(n2.engine)).filter(({ state }) => state === "running").map(({ id }) => id);
      return (await Promise.all(ids.map((id) => n2.engine.docker(["top", id])))).map(({ stdout }) => stdout).join("");
    };
    expect(await until(async () => (await processes()).includes("sleep 54321"), SHOWN_MS)).toBe(true);
    await rowWith(list, "counter-b").waitFor();
    const shown = await expectUpToDate(log);
    await expectUpToDate(logs);

    await n2.server.stop("SIGKILL");
    try {
      for (const page of [log, logs]) await page.getByText("The connection broke; it is opened again.").waitFor();
      await terminal.locator(".xterm-rows").getByText("the connection was lost").first().waitFor();
      await code.getByRole("alert").filter({ hasText: "n2" }).waitFor();
      for (const page of [log, logs, terminal, list]) await missing(page, "n2").waitFor();

      await rowWith(list, "counter-b").waitFor({ state: "detached" });
      await list.getByLabel("Select spare-c").check();
      await list.getByRole("button", { name: "Remove" }).click();
      await list.getByText("Remove: done").waitFor();
      await rowWith(list, "spare-c").waitFor({ state: "detached" });
      await list.getByLabel("Filter").fill("n3");
      await rowWith(list, "speaker-c").waitFor();
      for (const page of [log, logs]) {
        await page.getByLabel("Filter").fill(`line ${shown}`);
        await logRows(page).getByText(`line ${shown}`, { exact: true }).waitFor();
        await page.getByLabel("Filter").fill("");
      }
      await code.getByRole("button", { name: "Run" }).and(code.locator(":enabled")).waitFor();
    } finally {
      await cluster.restart(n2);
    }
    for (const page of [log, logs]) {
      await expectUpToDate(page);
      await page.getByText("The connection broke; it is opened again.").waitFor({ state: "detached" });
      await missing(page, "n2").waitFor({ state: "detached" });
      await expectWholeLog(page, shown);
    }
    await typeInto(terminal, "echo after-$((6*7))", "after-42");
    const screen = await screenOf(terminal);
    const places = ["before-42", "the connection was lost", "after-42"].map((text) => screen.findIndex((line) => line.includes(text)));
    expect(places[0]).toBeGreaterThanOrEqual(0);
    expect(places).toEqual(places.toSorted((one, other) => one - other));
    await list.getByLabel("Filter").fill("");
    await rowWith(list, "counter-b").waitFor();
    await runCode(code, "echo again-$((6*7))");
    await code.getByText(/"stdout": "again-42"/).waitFor();
  });

  test("that serves the page: it leads to the same page of other nodes, and goes on when its node is back", async () => {
    expect(await becomesComplete(cluster)).toBe(true);
    const address = `containers/${counter}/logs`;
    const isNodes = (url: string) => new URL(url).pathname === "/nodes";
    const [page] = await Promise.all([
      openTab(addressOn(n1, address)),
      context.waitForEvent("response", (response) => isNodes(response.url())),
    ]);
    const shown = await expectUpToDate(page);

    await n1.server.stop("SIGKILL");
    const banner = page.getByRole("alert").filter({ hasText: "The node of this page does not answer" });
    try {
      await banner.waitFor();
      const links = await Promise.all(
        (await banner.getByRole("link").all()).map(async (link) => [await link.textContent(), await link.getAttribute("href")]),
      );
      expect(links).toEqual([n2, n3].map((node) => [node.name, addressOn(node, address)]));
      const other = await openTab(links[1]?.[1] as string);
      await expectUpToDate(other);
      await missing(other, "n1").waitFor();
    } finally {
      await cluster.restart(n1);
    }
    await banner.waitFor({ state: "detached" });
    await expectUpToDate(page);
    await expectWholeLog(page, shown);
  });
});
