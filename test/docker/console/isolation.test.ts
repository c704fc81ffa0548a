import { once } from "node:events";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import type { Browser, BrowserContext, Page, Request } from "playwright-core";
import { until } from "../../../scripts/process";
import { startBrowser, visit } from "../../support/browser";
import { TOKEN } from "../../support/server";
import { type OneNode, startNode } from "../../support/single-node";

const USER = { username: "ann", password: "her-password" };
/** The container whose name no other page may learn. */
const HIDDEN = "hidden-box";
const PUBLISHED = 8099;
const SHOWN_MS = 60_000;

/** A page with a function that tries all ways to the console that a script has. */
const ATTACKER = `<!doctype html><title>attacker</title><body><script>
  const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
  async function attack(target) {
    const learned = {};
    const attempt = async (way, work) => {
      try { learned[way] = String(await work()); } catch { learned[way] = "refused"; }
    };
    await attempt("cookies", () => document.cookie);
    await attempt("localStorage", () => JSON.stringify({ ...localStorage }));
    await attempt("sessionStorage", () => JSON.stringify({ ...sessionStorage }));
    await attempt("opener", () => opener.document.body.innerText);
    for (const path of ["/", "/whoami", "/console/containers"])
      await attempt("fetch " + path, async () => (await fetch(target + path, { credentials: "include" })).text());
    const frame = document.createElement("iframe");
    frame.src = target + "/console/containers";
    document.body.append(frame);
    const popup = open(target + "/console/containers");
    await wait(3000);
    await attempt("frame", () => frame.contentDocument.body.innerText);
    await attempt("popup", () => popup.document.body.innerText + JSON.stringify({ ...popup.sessionStorage }));
    return learned;
  }
</script>`;

let node: OneNode;
let browser: Browser;
let context: BrowserContext;
let foreignServer: Server;
let consolePage: Page;
const requests: Request[] = [];

beforeAll(async () => {
  node = await startNode({ name: "isolation", inside: true, args: [`--user=${USER.username}`, `--password=${USER.password}`] });
  browser = await startBrowser(node.engine.address);
  const serve = 'mkdir /www; printf %s "$PAGE" > /www/index.html; exec httpd -f -p 80 -h /www';
  const published = ["--publish", `${PUBLISHED}:80`];
  await node.docker("run", "-d", "--name", "attacker", ...published, "--env", `PAGE=${ATTACKER}`, "busybox", "sh", "-c", serve);
  await node.docker("run", "-d", "--name", HIDDEN, "busybox", "sleep", "1000");
  foreignServer = createServer((_request, response) => response.setHeader("Content-Type", "text/html").end(ATTACKER));
  await once(foreignServer.listen(0, "127.0.0.1"), "listening");
  context = await browser.newContext({ httpCredentials: USER });
  context.setDefaultTimeout(SHOWN_MS);
  context.on("request", (request) => requests.push(request));
  consolePage = await context.newPage();
  await visit(consolePage, `${node.server.url}/console/containers`);
  await consolePage.getByLabel("Remember me").check();
  await consolePage.getByLabel("Token", { exact: true }).fill(TOKEN);
  await consolePage.getByRole("button", { name: "Sign in" }).click();
  await consolePage.getByRole("link", { name: HIDDEN }).waitFor();
});

afterAll(async () => {
  await browser?.close();
  foreignServer?.close();
  await node?.stop();
});

const storedIn = async (page: Page) =>
  (await page.evaluate("[...Object.values(localStorage), ...Object.values(sessionStorage)]")) as string[];

const PAGES: [string, () => string][] = [
  ["a page of another host", () => `http://127.0.0.1:${(foreignServer.address() as AddressInfo).port}/`],
  ["a container's published port on the same host name", () => `http://${node.engine.address}:${PUBLISHED}/`],
  ["a proxied page on the same port", () => `${node.server.url}/proxy/attacker/`],
];

test.each(PAGES)("%s learns nothing of a console that is signed in", async (_name, addressOf) => {
  const secrets = [TOKEN, HIDDEN, ...(await storedIn(consolePage))];
  const address = addressOf();
  const page = await context.newPage();
  const isServed = async () => {
    await visit(page, address);
    return (await page.title()) === "attacker";
  };
  expect(await until(isServed, SHOWN_MS)).toBe(true);
  const learned = (await page.evaluate(`attack(${JSON.stringify(node.server.url)})`)) as Record<string, string>;
  for (const secret of secrets) expect(JSON.stringify(learned)).not.toContain(secret);
  expect(Object.entries(learned).filter(([, value]) => !["", "{}", "refused"].includes(value))).toEqual([]);
  const sent = await Promise.all(requests.filter((each) => each.url().startsWith(address)).map((each) => each.allHeaders()));
  for (const secret of secrets) expect(JSON.stringify(sent)).not.toContain(secret);
  await page.close();
});

test("the same attempts within the console's own page would learn all", async () => {
  const script = /<script>([\s\S]*)<\/script>/.exec(ATTACKER)?.[1];
  const learned = (await consolePage.evaluate(`(() => { ${script}; return attack(${JSON.stringify(node.server.url)}); })()`)) as object;
  expect(JSON.stringify(learned)).toContain(HIDDEN);
  expect(learned).toMatchObject({ localStorage: expect.stringContaining("ds1_"), popup: expect.stringContaining(HIDDEN) });
});
