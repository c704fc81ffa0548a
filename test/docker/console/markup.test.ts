import fc from "fast-check";
import type { Browser, Page } from "playwright-core";
import { until } from "../../../scripts/process";
import { fetchOutside, startBrowser, visit } from "../../support/browser";
import { type Answers, generatePool, Refusal, type StandIn, startStandIn } from "../../support/console-stand-in";

const SHOWN_MS = 60_000;
const RUNS = 4;
const ID = "c".repeat(64);
const TIME = "2026-01-31T12:00:00.000Z";
const MARKUP = [
  '<img src=x onerror="window.hacked=1">',
  "</td></tr></table><script>window.hacked=1</script>",
  '" onmouseover="window.hacked=1" x="',
  "'><svg/onload=window.hacked=1>",
  "</pre><b>bold</b><pre>",
  '<iframe srcdoc="<script>parent.hacked=1</script>"></iframe>',
  "<style>*{display:none}</style>",
  "javascript:window.hacked=1",
  "&lt;b&gt; &amp; &#60;i&#62;",
  "<!-- <a href='javascript:window.hacked=1'>",
  "{{constructor.constructor('window.hacked=1')()}}",
];
/** All that the pages consist of. */
const TAGS =
  "H1 H2 P DIV SPAN SECTION NAV A BUTTON FORM LABEL INPUT SELECT OPTION TEXTAREA TABLE THEAD TBODY TR TH TD METER PRE TIME LINK CANVAS";

/** A text with markup in it, of one line and without control characters, which pages leave out of logs. */
const hostileText = fc
  .tuple(fc.string({ unit: "grapheme", maxLength: 10 }), fc.constantFrom(...MARKUP), fc.string({ unit: "grapheme", maxLength: 10 }))
  .map((parts) =>
    parts
      .join("")
      .replace(/[\p{C}\p{Z}]+/gu, " ")
      .trim(),
  );

/** Texts by the name of the field that shows them. */
const FIELDS = [
  "user",
  "name",
  "image",
  "label",
  "project",
  "state",
  "status",
  "node",
  "reason",
  "version",
  "engine",
  "tag",
  "volume",
].concat(["driver", "caller", "path", "line", "variable", "file", "target", "kind", "message", "result", "declines", "warning"]);
type Texts = Record<string, string>;
const hostileFields: fc.Arbitrary<Texts> = fc.record(Object.fromEntries(FIELDS.map((name) => [name, hostileText])));

/** The answers of a pool in which every text has markup. */
function poolOf(texts: Texts): Answers {
  const { user, name, image, label, project, state, status, node, reason, version, engine, tag, volume, driver, caller, path, line } =
    texts;
  const ports = [{ host: 80, container: 80, protocol: texts.kind }];
  const labels = { note: label, [label as string]: label, "com.docker.compose.project": project };
  const container = { id: ID, name, image, command: "sh", created: TIME, state, status, ports, labels, host: node };
  const bid = { node, cpu: 0, memory: 0, reservedCpu: 0, reservedMemory: 0, recent: 0, hasImage: true, hasVolumes: true };
  const pool = generatePool(1, 1);
  return {
    ...pool,
    "GET /whoami": { ...(pool["GET /whoami"] as object), user },
    "GET /nodes": {
      nodes: [
        { name: node, reachable: true, engine, version, docker: version },
        { name, reachable: false, reason, engine, version, docker: version },
      ],
      missing: [name],
      warnings: [texts.warning],
      complete: false,
    },
    "GET /": [container],
    [`GET /containers/${ID}`]: { id: ID, name, labels, env: { [texts.variable as string]: texts.variable } },
    [`GET /containers/${ID}/logs`]: `${TIME} ${line}\n`,
    [`GET /containers/${ID}/files`]: {
      entries: [
        { name: texts.file, type: "file", size: 1, mode: "644", modified: TIME },
        { name: "link", type: texts.kind, size: 1, mode: "777", modified: TIME, target: texts.target },
      ],
      complete: true,
    },
    "GET /images": { images: [{ id: "sha256:1", tags: [tag], size: 1, created: TIME, host: node }], missing: [name] },
    "GET /volumes": { volumes: [{ name: volume, driver, created: TIME, host: node }], missing: [] },
    "GET /audit": `${JSON.stringify({ request_id: "1", node, timestamp: TIME, user: caller, method: "PUT", path, status: 200, image })}\n`,
    "GET /logs/search": [
      { node, id: ID, name, time: TIME, stream: "stdout", line },
      { event: "result", complete: false, missing: [{ node: name, reason }], truncated: null, unreadable: [texts.label] },
    ]
      .map((each) => JSON.stringify(each))
      .join("\n"),
    "PUT /": {
      id: ID,
      name,
      status,
      host: node,
      placement: { chosen: node, order: [{ node, ahead: 0, load: 0 }], bids: [bid, { ...bid, node: name, declines: texts.declines }] },
    },
    "POST /run": { [texts.result as string]: texts.result },
    "POST /images/pull": new Refusal(409, texts.message as string),
  };
}

let standIn: StandIn;
let browser: Browser;
let page: Page;
beforeAll(async () => {
  standIn = await startStandIn(generatePool(1, 1));
  browser = await startBrowser();
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 } });
  context.setDefaultTimeout(SHOWN_MS);
  await fetchOutside(context);
  page = await context.newPage();
  page.on("dialog", (dialog) => void dialog.accept());
  await visit(page, `${standIn.url}/console`);
  await page.getByLabel("Token", { exact: true }).fill("any");
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByRole("button", { name: "Sign out" }).waitFor();
});
afterAll(async () => {
  await browser?.close();
  await standIn?.stop();
});

/** Opens an address of the console, acts there, and waits until the texts are shown as they are, without elements or attributes of theirs. */
async function expectTexts(address: string, texts: (string | undefined)[], act = async () => {}): Promise<void> {
  await visit(page, `${standIn.url}/console/${address}`);
  await page.getByRole("heading", { level: 1 }).waitFor();
  await act();
  const shown = () => page.evaluate("document.getElementById('app').textContent.replace(/\\s+/g, ' ')") as Promise<string>;
  const hidden = async () => {
    const all = await shown();
    return texts.filter((text) => !all.includes(text ?? ""));
  };
  if (!(await until(async () => (await hidden()).length === 0, SHOWN_MS)))
    throw new Error(`${address} should show ${await hidden()}, not: ${await shown()}`);
  const found = await page.evaluate(`({
    hacked: window.hacked,
    tags: [...new Set([...document.querySelectorAll("main, main *")].map((each) => each.tagName))],
    listeners: [...document.querySelectorAll("#app *")].filter((each) => each.getAttributeNames().some((name) => name.startsWith("on"))).length,
    addresses: [...document.querySelectorAll("#app a[href]")].filter((each) => each.protocol !== location.protocol).length,
  })`);
  expect(found).toMatchObject({ listeners: 0, addresses: 0 });
  expect((found as { hacked?: unknown }).hacked).toBeUndefined();
  expect((found as { tags: string[] }).tags.filter((tag) => !["MAIN", ...TAGS.split(" ")].includes(tag))).toEqual([]);
}

test("names, labels, images, log lines, variables, files and errors with markup in them stay text on every page", async () => {
  const property = async (texts: Texts) => {
    standIn.answers = poolOf(texts);
    const { user, name, image, project, state, node, reason, version, engine, tag, volume, driver, caller, path, line } = texts;
    const json = (text: string | undefined) => JSON.stringify(text).slice(1, -1);
    await expectTexts("nodes", [user, name, node, reason, version, engine, texts.warning]);
    await expectTexts("containers", [name, image, project, state, texts.kind, node]);
    await expectTexts(`containers/${ID}/logs`, [name, image, state, texts.status, node, line]);
    await expectTexts(`containers/${ID}/inspect`, [json(texts.label), json(texts.variable)], () =>
      page.getByLabel("Show the values of variables").check(),
    );
    await expectTexts(`containers/${ID}/files`, [texts.file, texts.kind, texts.target]);
    await expectTexts(`containers/${encodeURIComponent(name as string)}`, [name]);
    await expectTexts("images", [tag, node, name, texts.message], async () => {
      await page.getByRole("textbox", { name: "Image" }).fill(image as string);
      await page.getByRole("button", { name: "Pull" }).click();
    });
    await expectTexts("volumes", [volume, driver, node]);
    await expectTexts("activity", [caller, path, image, node]);
    await expectTexts("search", [line, name, node, reason, texts.label], async () => {
      await page.getByLabel("Text", { exact: true }).fill(line as string);
      await page.getByRole("button", { name: "Search", exact: true }).click();
    });
    await expectTexts("run", [name, texts.status, node, texts.declines, json(image).replaceAll("'", "'\\''")], async () => {
      await page.getByLabel("Image", { exact: true }).fill(image as string);
      await page.getByRole("button", { name: "Run" }).click();
    });
    await expectTexts("code", [json(texts.result)], () => page.getByRole("button", { name: "Run" }).click());
  };
  await fc.assert(fc.asyncProperty(hostileFields, property), { numRuns: RUNS, endOnFailure: true });
});
