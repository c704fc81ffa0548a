import { existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import fc from "fast-check";
import { maliciousTexts, OPEN_RUN_FIELDS, RUN_FIELDS } from "../../support/malicious-inputs";
import type { Answer } from "../../support/server";
import { type OneNode, startNode } from "../../support/single-node";

let node: OneNode;
let folder: string;
let file: string;
let texts: string[];
beforeAll(async () => {
  node = await startNode({ name: "hostile", args: ["--run_wait=10", "--pull_wait=5"] });
  folder = mkdtempSync(path.join(tmpdir(), "hostile-"));
  file = path.join(folder, "made");
  texts = maliciousTexts(file);
  await node.docker("run", "-d", "--name", "box", "busybox", "sleep", "1000");
});
afterAll(async () => {
  rmSync(folder, { recursive: true, force: true });
  await node?.stop();
});
afterEach(async () => {
  expect(existsSync(file)).toBe(false);
  expect(readdirSync(node.server.folder).sort()).toEqual(["logs", "output.log"]);
  expect(node.server.process.running()).toBe(true);
  expect((await node.request("GET", "/health")).status).toBe(200);
  const all = (await node.docker("ps", "--all", "--quiet", "--no-trunc")).split("\n");
  for (const { HostConfig, Name } of JSON.parse(await node.docker("container", "inspect", ...all))) {
    expect([Name, HostConfig.Privileged, HostConfig.PidMode]).toEqual([Name, false, ""]);
    // Newer engines tell the default network by its name.
    expect(["default", "bridge"]).toContain(HostConfig.NetworkMode);
    expect((HostConfig.Binds ?? []).filter((bind: string) => bind.startsWith("/:"))).toEqual([]);
  }
  const others = (await node.names()).filter((name) => name !== "box");
  if (others.length > 0) await node.docker("rm", "--force", ...others);
});

/** Expects success or a refusal, but no server error and no injected header. */
function expectNoFault(label: string, answer: Answer): void {
  const fault = answer.status >= 500 && answer.headers.get("x-error-code") !== "REGISTRY_UNREACHABLE";
  expect([label, fault ? `${answer.status} ${answer.text}` : "fine"]).toEqual([label, "fine"]);
  expect(answer.headers.get("x-injected")).toBeNull();
}

async function fourAtATime<T>(items: T[], work: (item: T) => Promise<void>): Promise<void> {
  const queue = [...items];
  await Promise.all(
    Array.from({ length: 4 }, async () => {
      for (let item = queue.shift(); item !== undefined; item = queue.shift()) await work(item);
    }),
  );
}

/** Some items of a list, chosen at random. */
function randomOf<T>(items: T[], count: number): T[] {
  const rest = [...items];
  return Array.from({ length: Math.min(count, rest.length) }, () => rest.splice(Math.floor(Math.random() * rest.length), 1)[0] as T);
}

/** Whether the text survives encoding as UTF-8. */
const isWellFormed = (text: string) => Buffer.from(text).toString() === text;

const put = (json: Record<string, unknown>) =>
  node.request("PUT", "/", { json: { image: "busybox", data: "true", remove: true, ...json } });

test("no hostile text in a field of PUT / does harm", async () => {
  const cases = Object.entries(RUN_FIELDS).flatMap(([field, make]) => texts.map((text) => ({ field, text, json: make(text) })));
  await fourAtATime(cases, async ({ field, text, json }) => expectNoFault(`${field}: ${text.slice(0, 100)}`, await put(json)));
});

test("no hostile text in a free-text field does harm", async () => {
  const some = texts.filter((text) => text.includes(file) || text.startsWith("-") || text.includes("\0"));
  const cases = Object.entries(OPEN_RUN_FIELDS).flatMap(([field, make]) => some.map((text) => ({ field, text, json: make(text) })));
  // Most of them create a container, so each run of the test takes others. A failure names its case.
  await fourAtATime(randomOf(cases, 30), async ({ field, text, json }) =>
    expectNoFault(`${field}: ${text.slice(0, 100)}`, await put(json)),
  );
});

test("command names longer than any path are refused, because the engine hangs on them", async () => {
  const long = "y".repeat(70_000);
  for (const fields of [
    { data: [long] },
    { data: long },
    { entrypoint: [long] },
    { tmpfs: { [`/${long}`]: "" } },
    { workdir: `/${long}` },
  ]) {
    expect((await put(fields)).json).toMatchObject({ status: 400, error: "validation_error", details: { field: expect.any(String) } });
  }
  expect((await node.request("POST", "/box", { json: { data: [long] } })).json).toMatchObject({ status: 400, details: { field: "data" } });
});

test("hostile texts reach the container unchanged as arguments, variables and labels", async () => {
  const fit = texts.filter((text) => !text.includes("\0") && text.length < 10_000 && isWellFormed(text));
  const map = Object.fromEntries(fit.map((text, index) => [`K${index}`, text]));
  const { json } = await put({ name: "carrier", remove: false, env: map, labels: map, data: ["printf", "[%s]", ...fit] });
  expect(json.stdout).toBe(fit.map((text) => `[${text}]`).join(""));
  const { Config } = await node.inspect("carrier");
  expect(Config.Labels).toEqual({ ...map, "docker-server.run": "carrier" });
  expect(Config.Env).toEqual(expect.arrayContaining(Object.entries(map).map(([key, text]) => `${key}=${text}`)));
  expect(Config.Cmd).toEqual(["printf", "[%s]", ...fit]);
});

test("any arguments reach the container unchanged", async () => {
  const word = fc.string({
    unit: fc.oneof(fc.constantFrom(..."'\"\\$`;|&<>()*?[]{}~#! \t\n-="), fc.string({ unit: "grapheme", minLength: 1, maxLength: 1 })),
    maxLength: 30,
  });
  const plain = word.map((text) => text.replaceAll("\0", "").replaceAll("\r", ""));
  await fc.assert(
    fc.asyncProperty(fc.array(plain, { maxLength: 5 }), plain, plain, async (words, value, label) => {
      const data = ["sh", "-c", 'printf "[%s]" "$VALUE" "$@"', "sh", ...words];
      const { json } = await put({ name: "any", remove: false, env: { VALUE: value }, labels: { label }, data });
      const { Config } = await node.inspect("any");
      await node.request("DELETE", "/any");
      expect(json.stdout).toBe([value, ...words].map((text) => `[${text}]`).join(""));
      expect(Config.Cmd).toEqual(data);
      expect(Config.Labels).toEqual({ label, "docker-server.run": "any" });
    }),
    { numRuns: 10 },
  );
});

test("no hostile text in a form does harm", async () => {
  const fields = ["image", "name", "data", "data[]", "env[A]", "ports[80]", "volumes[/x]", "user"];
  const some = texts.filter((text) => text.includes("touch") || text.startsWith("-")).filter((_, index) => index % 3 === 0);
  const cases = fields.flatMap((field) => some.map((text) => ({ field, text })));
  await fourAtATime(cases, async ({ field, text }) => {
    const form = `${field === "image" ? "" : "image=busybox&"}remove=true&${field}=${encodeURIComponent(text)}`;
    expectNoFault(`${field}: ${text}`, await node.request("PUT", "/", { form }));
  });
});

test("no hostile text in a field of an exec does harm", async () => {
  const fields: Record<string, (text: string) => Record<string, unknown>> = {
    data: (text) => ({ data: text }),
    "data as words": (text) => ({ data: ["echo", text] }),
    command: (text) => ({ data: [text] }),
    "env's key": (text) => ({ env: { [text]: text } }),
    "env's value": (text) => ({ env: { A: text } }),
    workdir: (text) => ({ workdir: text }),
    user: (text) => ({ user: text }),
    stdin: (text) => ({ data: "cat", interactive: true, stdin: text }),
    tty: (text) => ({ tty: text }),
  };
  const some = texts.filter((_, index) => index % 2 === 1);
  const cases = Object.entries(fields).flatMap(([field, make]) => some.map((text) => ({ field, text, json: make(text) })));
  await fourAtATime(cases, async ({ field, text, json }) => {
    expectNoFault(`${field}: ${text.slice(0, 100)}`, await node.request("POST", "/box", { json: { data: "true", ...json } }));
  });
});

test("no hostile text in a path or a query does harm", async () => {
  const inUrl = texts.filter((text) => text.length < 10_000 && isWellFormed(text)).map(encodeURIComponent);
  const cases = inUrl.flatMap((text): [string, string][] => [
    ["GET", `/${text}`],
    ["DELETE", `/${text}`],
    ["HEAD", `/${text}`],
    ["HEAD", `/127.0.0.1:1/${text}`],
    ["HEAD", `/127.0.0.1:1/busybox:${text}`],
    ["HEAD", `/127.0.0.1:1/busybox?platform=${text}`],
    ["GET", `/?node=${text}`],
    ["GET", `/box?tail=${text}`],
    ["GET", `/box?since=${text}&until=${text}`],
    ["GET", `/box?${text}=${text}`],
    ["GET", `/docs/${text}`],
  ]);
  await fourAtATime(cases, async ([method, pathname]) => expectNoFault(`${method} ${pathname}`, await node.request(method, pathname)));
  expect(await node.names()).toContain("box");
});

test("__proto__ and similar names in a body are refused or plain names, and affect no other request", async () => {
  for (const body of [
    '{"image":"busybox","__proto__":{"privileged":true}}',
    '{"image":"busybox","constructor":{"prototype":{"privileged":true}}}',
    '{"image":"busybox","env":{"__proto__":{"x":"y"}},"remove":true,"data":"true"}',
  ]) {
    const headers = { "Content-Type": "application/json", Authorization: "Bearer test-token-Zq7" };
    const answer = await fetch(node.server.url, { method: "PUT", headers, body });
    expect(answer.status).toBeLessThan(500);
  }
  await node.request("PUT", "/", {
    form: "image=busybox&__proto__[privileged]=true&env[__proto__][privileged]=true&data=true&remove=true",
  });
  await put({ name: "still-harmless", remove: false });
  expect((await node.inspect("still-harmless")).HostConfig.Privileged).toBe(false);
});
