import { existsSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { maliciousTexts } from "../../support/malicious-inputs";
import { watchProcesses } from "../../support/process-watcher";
import { everythingLogged, type OneNode, startNode } from "../../support/single-node";

let node: OneNode;
let marker: string;
beforeAll(async () => {
  node = await startNode({ name: "managed-hostile" });
  marker = path.join(node.server.folder, "touched");
  // Compose would read these from its working directory.
  writeFileSync(path.join(node.server.folder, ".env"), "COMPOSE_PROJECT_NAME=other\nCOMPOSE_FILE=/none\nSECRET=of the server\n");
});
afterAll(() => node?.stop());
afterEach(async () => {
  for (const name of await node.names()) await node.request("DELETE", `/containers/${name}`);
  expect(await node.names()).toEqual([]);
  expect(await node.docker("volume", "ls", "--quiet")).toBe("");
  expect(existsSync(marker)).toBe(false);
  rmSync(marker, { force: true });
});

const create = (body: object) => node.request("POST", "/containers", { json: { image: "busybox", ...body } });

/** Valid values of variables, tags and commands that have a meaning in Compose, YAML or a shell. */
const TEXTS = [
  ...["$", "$$", "$$$", "$HOME", `$\{HOME}`, `$$\{HOME}`, `$\{SECRET}`, `$\{SECRET:?gone}`, "${", "$(id)", "`id`", "$1"],
  ...[
    "-v",
    "--privileged",
    "'",
    '"',
    "\\",
    "\\n",
    "a: b",
    "- a",
    "#",
    "!!python/none",
    "&a",
    "*a",
    "{{.}}",
    "%",
    "~",
    "null",
    "true",
    "08",
    "1e3",
  ],
  ...["\x7f\x85\xa0", "\u2028\u2029", "\ufeff", "\ufffe", "🐳 漢字", " inspect ", "x ps x", " ", "", "EOF"],
];
const LINES = ["a\nb", "\n", "a\n\n", "\r\n", "\tx\t", "DOCKER_STDIN\nx"];

test("environment variables and command words arrive unchanged, also after a change", async () => {
  const allowed = maliciousTexts(marker).filter((text) => text.length < 100_000 && !/\0|\p{Surrogate}/u.test(text));
  const values = [...TEXTS, ...LINES, ...allowed];
  const env = Object.fromEntries(values.map((value, index) => [`V${index}`, value]));
  const command = ["sh", "-c", "sleep 1000", ...values];
  const { status, json } = await create({ env, command });
  expect([status, json.code]).toEqual([201, undefined]);
  const assertUnchanged = async () => {
    const { Config } = await node.inspect(json.cuid);
    const found = new Map<string, string>(
      Config.Env.map((line: string) => [line.slice(0, line.indexOf("=")), line.slice(line.indexOf("=") + 1)]),
    );
    for (const [name, value] of Object.entries(env)) expect([name, found.get(name)]).toEqual([name, value]);
    expect(Config.Cmd).toEqual(command);
  };
  await assertUnchanged();
  expect((await node.request("PATCH", `/containers/${json.cuid}`, { json: { tags: ["again"] } })).status).toBe(200);
  await assertUnchanged();
});

test("tags are never interpreted", async () => {
  const tags = [...TEXTS, ...maliciousTexts(marker)].filter((text) => /^[^\p{Cc}\p{Surrogate},]{1,128}$/u.test(text));
  const { status, json } = await create({ tags });
  expect([status, json.tags]).toEqual([201, tags]);
  expect((await node.inspect(json.cuid)).Config.Env).toContain(`TAGS=${tags.join(",")}`);
  expect((await node.request("GET", `/containers?tags=${encodeURIComponent(`$\{HOME}`)}`)).json.containers).toMatchObject([
    { cuid: json.cuid },
  ]);
});

const FIELDS: Record<string, (text: string) => object> = {
  image: (text) => ({ image: text }),
  "env's key": (text) => ({ env: { [text]: "1" } }),
  cpus: (text) => ({ resources: { cpus: text } }),
  memory: (text) => ({ resources: { memory: text } }),
  pids: (text) => ({ resources: { pids: text } }),
  "a port's host": (text) => ({ ports: [{ host: text, container: 80 }] }),
  "a port's container": (text) => ({ ports: [{ container: text }] }),
  "a port's protocol": (text) => ({ ports: [{ container: 80, protocol: text }] }),
  ports: (text) => ({ ports: text }),
  cuid: (text) => ({ cuid: text }),
};

test.each(Object.entries(FIELDS))("hostile texts as %s are refused or kept as text", async (_field, body) => {
  for (const text of [...TEXTS, ...maliciousTexts(marker)]) {
    const { status, json } = await create(body(text));
    expect({ text, status, known: [201, 400, 404, 413, 502].includes(status) }).toMatchObject({ known: true });
    if (status === 201) expect((await node.request("DELETE", `/containers/${json.cuid}`)).status).toBe(200);
  }
});

test("undocumented fields are refused", async () => {
  for (const more of [{ privileged: true }, { volumes: { data: "/x/../app:ro" } }, { cap_add: ["ALL"] }, { devices: [] }, { labels: {} }])
    expect((await create(more)).status).toBe(400);
});

test("what the policy refuses is refused at the creation and at a change, and changes nothing", async () => {
  const refused = [{ volumes: { "/": "/host" } }, { volumes: ["/var/run/docker.sock:/s"] }, { network: "host" }];
  for (const more of refused) expect((await create(more)).json).toMatchObject({ status: 403, code: "NOT_ALLOWED" });
  const { cuid } = (await create({ volumes: {} })).json;
  const { Id } = await node.inspect(cuid);
  for (const json of refused)
    expect((await node.request("PATCH", `/containers/${cuid}`, { json })).json).toMatchObject({ status: 403, code: "NOT_ALLOWED" });
  expect((await node.inspect(cuid)).Id).toBe(Id);
  expect((await node.request("DELETE", `/containers/${cuid}`)).status).toBe(200);
});

test("a spec that was forged into a label passes the policy again: a change of it is refused", async () => {
  const cuid = "cforged000000000000000000";
  const spec = { image: "busybox", tags: [], resources: {}, ports: [], labels: {}, boot: "/bin/sh", env: [], volumes: { "/": "/host" } };
  const labels = { "docker-server.cuid": cuid, "docker-server.spec": JSON.stringify(spec) };
  const flags = Object.entries(labels).flatMap(([name, value]) => ["--label", `${name}=${value}`]);
  await node.docker("create", "--name", cuid, ...flags, "busybox", "sleep", "1000");
  const change = await node.request("PATCH", `/containers/${cuid}`, { json: { tags: ["a"] } });
  expect(change.json).toMatchObject({ status: 403, code: "NOT_ALLOWED", details: { field: "volumes" } });
  expect((await node.inspect(cuid)).Mounts).toEqual([]);
  await node.docker("rm", "-f", cuid);
});

test("environment values appear in no process arguments, list or log", async () => {
  const secret = "s3cret-Qx81";
  const leaks = await watchProcesses(/--file=-/, secret, () => create({ env: { KEY: secret } }));
  expect(leaks).toEqual([]);
  expect((await node.request("GET", "/")).text + (await node.request("GET", "/containers")).text).not.toContain(secret);
  expect(everythingLogged(node.server)).not.toContain(secret);
});

test("forged labels do not make a container managed", async () => {
  for (const spec of ["", "{}", "null", '{"image":1}', "$"]) {
    const labels = { "docker-server.cuid": "forged", "docker-server.spec": spec, "dockapi.managed": "true" };
    const refused = await node.request("PUT", "/", {
      json: { image: "busybox", name: "forged", detach: true, data: "sleep 1000", labels },
    });
    expect(refused.json).toMatchObject({ status: 400, details: { field: expect.stringContaining("labels") } });
    // Others who reach the engine can set any label.
    const flags = Object.entries(labels).flatMap(([name, value]) => ["--label", `${name}=${value}`]);
    await node.docker("run", "-d", "--name", "forged", ...flags, "busybox", "sleep", "1000");
    expect((await node.request("GET", "/containers")).json.containers).toMatchObject([{ name: "forged" }]);
    expect((await node.request("PATCH", "/containers/forged", { json: { tags: [] } })).json.code).toBe("NOT_MANAGED");
    expect((await node.request("DELETE", "/containers/forged")).status).toBe(200);
  }
});
