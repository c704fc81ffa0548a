import { mkdirSync, writeFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { runOrThrow, until } from "../../../scripts/process";
import { type Engine, startEngine } from "../../support/engine";
import { importBusybox } from "../../support/images";
import { type Answer, startServer, type TestServer } from "../../support/server";
import { dockerOf } from "../../support/single-node";

jest.setTimeout(120_000);

const DEADLINE_MS = 60_000;
/** Needs 3 s to stop, which prolongs its replacement. */
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

/** A running container with a file in /app. */
async function running(): Promise<string> {
  const cuid = await create();
  await server.request("POST", `/containers/${cuid}/start`);
  await docker("exec", cuid, "sh", "-c", "echo kept > /app/file");
  return cuid;
}

const change = (cuid: string): Promise<Answer> => server.request("PATCH", `/containers/${cuid}`, { json: { env: { STATE: "new" } } });
const isBeingReplaced = () => until(async () => (await names()).some((name) => name.includes("_")), DEADLINE_MS);

async function restartServer(end: () => Promise<void> | void): Promise<void> {
  const { port, folder } = server;
  await end();
  await server.process.end("SIGKILL");
  server = await startServer({ engine, port, folder });
}

test.each<[string, () => void]>([
  ["the server is killed", () => undefined],
  ["the server and Compose are killed", () => process.kill(-server.process.pid, "SIGKILL")],
])("%s during a change: the container is old or new, and a repeated request succeeds", async (_description, end) => {
  const cuid = await running();
  const cut = change(cuid).then(
    () => "answered",
    () => "cut",
  );
  expect(await isBeingReplaced()).toBe(true);
  await restartServer(end);
  expect(await cut).toBe("cut");
  // The old and the new container are listed as one.
  expect((await server.request("GET", "/containers")).json.containers).toHaveLength(1);
  const again = await change(cuid);
  expect([again.status, again.json]).toMatchObject([200, { cuid, status: "running" }]);
  expect(await stateOf(cuid)).toBe("new\nkept");
  expect(await names()).toEqual([cuid]);
});

test("a change interrupted by killing server and Compose is completed without another request", async () => {
  const cuid = await running();
  void change(cuid).catch(() => undefined);
  expect(await isBeingReplaced()).toBe(true);
  await restartServer(() => void process.kill(-server.process.pid, "SIGKILL"));
  const isWhole = async () => (await names()).join() === cuid && (await docker("ps", "--format", "{{.Names}}")) === cuid;
  expect(await until(isWhole, DEADLINE_MS)).toBe(true);
  expect(await stateOf(cuid)).toMatch(/^(old|new)\nkept$/);
});

test("a change interrupted after the old container's removal: the new one gets its name", async () => {
  const cuid = await create();
  const { port, folder } = server;
  await server.process.end("SIGKILL");
  await docker("rename", cuid, `0123456789ab_${cuid}`);
  server = await startServer({ engine, port, folder });
  expect(await until(async () => (await names()).join() === cuid, DEADLINE_MS)).toBe(true);
  expect((await server.request("GET", `/containers/${cuid}/status`)).json).toMatchObject({ cuid, status: "created" });
});

test("the status can be read at any time during a change", async () => {
  const cuid = await running();
  let finished = false;
  const changed = Promise.all([change(cuid)]).finally(() => {
    finished = true;
  });
  const statuses = new Set<number>();
  const poll = async () => {
    while (!finished) statuses.add((await server.request("GET", `/containers/${cuid}/status`)).status);
  };
  await Promise.all([poll(), poll(), poll(), changed]);
  expect([...statuses]).toEqual([200]);
});

test("concurrent requests to one container are carried out one after the other", async () => {
  const cuid = await running();
  const changes = [change(cuid), server.request("PATCH", `/containers/${cuid}`, { json: { tags: ["a"] } })];
  // A paused container can't be changed: the pause must come last.
  await sleep(500);
  const answers = await Promise.all([...changes, server.request("POST", `/containers/${cuid}/pause`)]);
  expect(answers.map(({ status }) => status)).toEqual([200, 200, 200]);
  const { json } = await server.request("GET", `/containers/${cuid}/status`);
  expect(json).toMatchObject({ status: "paused", tags: ["a"] });
  await server.request("POST", `/containers/${cuid}/unpause`);
  expect(await stateOf(cuid)).toBe("new\nkept");
});

test("with a frozen engine a creation is a 503, and a container created afterwards is removed", async () => {
  engine.freeze();
  try {
    expect((await server.request("POST", "/containers", { json: { image: "busybox" } })).status).toBe(503);
  } finally {
    engine.thaw();
  }
  expect(await until(async () => (await server.request("GET", "/containers")).status === 200, DEADLINE_MS)).toBe(true);
});

test("DEFAULT_USER_UID owns /app; without Compose the server says what to install", async () => {
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
  // A docker CLI without the compose plugin.
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
