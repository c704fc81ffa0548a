import { mkdirSync, writeFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { runOrThrow, until } from "../../../scripts/process";
import { type Engine, startEngine } from "../../support/engine";
import { importBusybox } from "../../support/images";
import { dockerOf } from "../../support/one-node";
import { type Answer, startServer, type TestServer } from "../../support/server";

jest.setTimeout(120_000);

const DEADLINE = 60_000;
/** Takes its time to end, so that its replacement takes some, too. */
const SLOW = ["sh", "-c", "trap 'sleep 3; exit' TERM; while :; do sleep 0.1; done"];

let engine: Engine;
let server: TestServer;
beforeAll(async () => {
  engine = await startEngine({ name: "managed-faults" });
  await importBusybox(engine);
  server = await startServer({ engine });
});
afterAll(async () => {
  await server?.stop();
  await engine?.stop();
});
afterEach(async () => {
  for (const name of await names()) await server.request("DELETE", `/containers/${name}`);
  expect([await names(), await docker("volume", "ls", "--quiet")]).toEqual([[], ""]);
});

const docker = (...args: string[]) => dockerOf(engine, args);
const names = async () => (await docker("ps", "--all", "--format", "{{.Names}}")).split("\n").filter(Boolean);
const create = async (more: object = {}) =>
  (await server.request("POST", "/containers", { json: { image: "busybox", command: SLOW, env: { STATE: "old" }, ...more } })).json.cuid;
const stateOf = (cuid: string) => docker("exec", cuid, "sh", "-c", "echo $STATE; cat /app/file");

/** A container that runs, with a file in its folder. */
async function running(): Promise<string> {
  const cuid = await create();
  await server.request("POST", `/containers/${cuid}/start`);
  await docker("exec", cuid, "sh", "-c", "echo kept > /app/file");
  return cuid;
}

const change = (cuid: string): Promise<Answer> => server.request("PATCH", `/containers/${cuid}`, { json: { env: { STATE: "new" } } });
const isReplaced = () => until(async () => (await names()).some((name) => name.includes("_")), DEADLINE);

async function restarted(end: () => Promise<void> | void): Promise<void> {
  const { port, folder } = server;
  await end();
  await server.process.end("SIGKILL");
  server = await startServer({ engine, port, folder });
}

test.each<[string, () => void]>([
  ["the server is killed", () => undefined],
  ["the server and Compose are killed", () => process.kill(-server.process.pid, "SIGKILL")],
])("%s during a change: old or new, and the same request again succeeds", async (_what, end) => {
  const cuid = await running();
  const cut = change(cuid).then(
    () => "answered",
    () => "cut",
  );
  expect(await isReplaced()).toBe(true);
  await restarted(end);
  expect(await cut).toBe("cut");
  // The list shows one of the two.
  expect((await server.request("GET", "/containers")).json.containers).toHaveLength(1);
  const again = await change(cuid);
  expect([again.status, again.json]).toMatchObject([200, { cuid, status: "running" }]);
  expect(await stateOf(cuid)).toBe("new\nkept");
  expect(await names()).toEqual([cuid]);
});

test("the server and Compose are killed during a change: without another request it runs again, and is whole", async () => {
  const cuid = await running();
  void change(cuid).catch(() => undefined);
  expect(await isReplaced()).toBe(true);
  await restarted(() => void process.kill(-server.process.pid, "SIGKILL"));
  const isWhole = async () => (await names()).join() === cuid && (await docker("ps", "--format", "{{.Names}}")) === cuid;
  expect(await until(isWhole, DEADLINE)).toBe(true);
  expect(await stateOf(cuid)).toMatch(/^(old|new)\nkept$/);
});

test("cut off after the old one was removed: the new one takes its name", async () => {
  const cuid = await create();
  const { port, folder } = server;
  await server.process.end("SIGKILL");
  await docker("rename", cuid, `0123456789ab_${cuid}`);
  server = await startServer({ engine, port, folder });
  expect(await until(async () => (await names()).join() === cuid, DEADLINE)).toBe(true);
  expect((await server.request("GET", `/containers/${cuid}/status`)).json).toMatchObject({ cuid, status: "created" });
});

test("during a change its status is always told", async () => {
  const cuid = await running();
  let over = false;
  const changed = Promise.all([change(cuid)]).finally(() => {
    over = true;
  });
  const statuses = new Set<number>();
  const poll = async () => {
    while (!over) statuses.add((await server.request("GET", `/containers/${cuid}/status`)).status);
  };
  await Promise.all([poll(), poll(), poll(), changed]);
  expect([...statuses]).toEqual([200]);
});

test("what is asked of one container at once is done one after the other", async () => {
  const cuid = await running();
  const changes = [change(cuid), server.request("PATCH", `/containers/${cuid}`, { json: { tags: ["a"] } })];
  // What is paused can't be changed: the pause is to come last.
  await sleep(500);
  const answers = await Promise.all([...changes, server.request("POST", `/containers/${cuid}/pause`)]);
  expect(answers.map(({ status }) => status)).toEqual([200, 200, 200]);
  const { json } = await server.request("GET", `/containers/${cuid}/status`);
  expect(json).toMatchObject({ status: "paused", tags: ["a"] });
  await server.request("POST", `/containers/${cuid}/unpause`);
  expect(await stateOf(cuid)).toBe("new\nkept");
});

test("while the engine stands still a create is a 503, and what it makes afterwards is removed", async () => {
  engine.freeze();
  try {
    expect((await server.request("POST", "/containers", { json: { image: "busybox" } })).status).toBe(503);
  } finally {
    engine.thaw();
  }
  expect(await until(async () => (await server.request("GET", "/containers")).status === 200, DEADLINE)).toBe(true);
});

test("with a user set, what runs may write into its folder, and a server without Compose says what to install", async () => {
  const { PATH } = process.env;
  const owned = await startServer({ engine, env: { DEFAULT_USER_UID: "1000:1000", NODE_ENV: "development" } });
  const { cuid } = (await owned.request("POST", "/containers", { json: { image: "busybox", command: SLOW } })).json;
  await owned.request("POST", `/containers/${cuid}/start`);
  expect(await docker("exec", cuid, "sh", "-c", "echo mine > /app/file; id -u; stat -c %u:%g /app /app/file")).toBe(
    "1000\n1000:1000\n1000:1000",
  );
  expect((await owned.request("POST", `/containers/${cuid}/start`)).json).toMatchObject({
    status: 422,
    stacktrace: expect.stringContaining("at "),
  });
  await owned.stop();
  // Its docker knows all but compose.
  const { folder } = server;
  const real = (await runOrThrow("which", ["docker"])).trim();
  mkdirSync(`${folder}/bin`);
  const refusal = `echo "docker: 'compose' is not a docker command." >&2; exit 1`;
  writeFileSync(`${folder}/bin/docker`, `#!/bin/sh\n[ "$1" = compose ] && { ${refusal}; }\nexec ${real} "$@"\n`, { mode: 0o755 });
  const lacking = await startServer({ engine, env: { PATH: `${folder}/bin:${PATH}` } });
  expect((await lacking.request("GET", "/healthz")).json).toMatchObject({
    compose_version: null,
    hint: expect.stringContaining("install"),
  });
  const refused = await lacking.request("POST", "/containers", { json: { image: "busybox" } });
  expect(refused.json).not.toHaveProperty("stacktrace");
  expect(refused.json).toMatchObject({
    status: 500,
    error: "compose_error",
    code: "COMPOSE_MISSING",
    message: expect.stringContaining("install"),
  });
  await lacking.stop();
});
