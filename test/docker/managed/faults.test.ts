import { mkdtempSync, symlinkSync, writeFileSync } from "node:fs";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { DOCKER_CLIS } from "../../../scripts/engine-kind";
import { runOrThrow, until } from "../../../scripts/process";
import { type Engine, engineKind, startEngine } from "../../support/engine";
import { importBusybox } from "../../support/images";
import { type Answer, startServer, type TestServer } from "../../support/server";
import { dockerOf } from "../../support/single-node";

const DEADLINE_MS = 60_000;
/** Needs 3 s to stop, which prolongs its replacement. */
const SLOW = ["sh", "-c", "trap 'sleep 3; exit' TERM; while :; do sleep 0.1; done"];

const RUN = { image: "busybox", pull_policy: "missing", command: "echo hello" };
const LEAST_API = "1.44";

let engine: Engine;
let server: TestServer;
beforeAll(async () => {
  // Engines 29.0 to 29.2 take no older version than 1.44; 20.10 has 1.41 and can't be told so.
  engine = await startEngine({ name: "managed-faults", env: { DOCKER_MIN_API_VERSION: LEAST_API } });
  // Debian 12's docker CLI is too old for this engine. Only its own link goes into PATH, since its folder has other programs too.
  if (engineKind() !== "20.10") {
    const bin = mkdtempSync(path.join(engine.folder, "bin-"));
    symlinkSync(DOCKER_CLIS["28"], path.join(bin, "docker"));
    process.env.PATH = `${bin}:${process.env.PATH}`;
  }
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

test("a change that waits for others longer than for a pull is carried out, and not told as a pull", async () => {
  const cuid = await running();
  const impatient = await startServer({ engine, args: ["--pull_wait=4"] });
  try {
    // Each takes as long as the container needs to stop: the third begins after 6 s.
    const changes = ["a", "b", "c"].map((STATE) => impatient.request("PATCH", `/containers/${cuid}`, { json: { env: { STATE } } }));
    expect((await Promise.all(changes)).map(({ status }) => status)).toEqual([200, 200, 200]);
  } finally {
    await impatient.stop();
  }
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

/** Starts a server whose docker CLI is a script. */
async function serverWithCli(script: string): Promise<TestServer> {
  const bin = mkdtempSync(`${server.folder}/bin-`);
  writeFileSync(`${bin}/docker`, `#!/bin/sh\n${script}\n`, { mode: 0o755 });
  return startServer({ engine, env: { PATH: `${bin}:${process.env.PATH}` } });
}

const cliPath = async () => (await runOrThrow("which", ["docker"], { env: { PATH: process.env.PATH } })).trim();

// An engine of 20.10 takes any older CLI.
const CLI_FAULTS: [string, string, string][] = [
  ...(engineKind() === "20.10" ? [] : [["too old", "1.41", "Minimum supported API version is 1.44"] as [string, string, string]]),
  ["too new", "1.99", "Maximum supported API version is 1."],
];

test.each(CLI_FAULTS)(
  "a docker CLI that is %s for the engine is told at the start, by healthz and by each request",
  async (fault, version, reason) => {
    const mismatched = await serverWithCli(`DOCKER_API_VERSION=${version} exec ${await cliPath()} "$@"`);
    const message = expect.stringMatching(`^(The docker command|Docker Compose) of this host is ${fault} for its engine: .*${reason}`);
    const refusal = { status: 500, error: "docker_error", code: "DOCKER_CLI_UNUSABLE", message };
    try {
      expect(await until(async () => mismatched.output().includes("Docker CLI can't be used"), DEADLINE_MS)).toBe(true);
      expect((await mismatched.request("GET", "/healthz")).json).toMatchObject({ status: "ok", hint: message });
      expect((await mismatched.request("PUT", "/", { json: { image: "busybox", detach: true } })).json).toMatchObject(refusal);
      expect((await mismatched.request("HEAD", "/nosuch/image")).status).toBe(500);
      expect((await mismatched.request("POST", "/images/pull", { json: { image: "nosuch" } })).json).toMatchObject(refusal);
      expect((await mismatched.request("POST", "/containers", { json: { image: "busybox" } })).json).toMatchObject(refusal);
      // Needs the Engine API alone.
      expect((await mismatched.request("POST", "/run", { json: RUN })).status).toBe(200);
    } finally {
      await mismatched.stop();
    }
  },
);

test("without a docker CLI the hint of healthz names the CLI, not Compose", async () => {
  const lacking = await serverWithCli('echo "/bin/sh: 1: docker: not found" >&2; exit 127');
  expect((await lacking.request("GET", "/healthz")).json).toMatchObject({ hint: "The docker command is not installed on this host" });
  await lacking.stop();
});

test("the verbs and runs work on an engine whose least API version is 1.44", async () => {
  const call = async (method: string, path: string, json?: object) => (await server.request(method, path, json ? { json } : {})).status;
  const version = (await server.request("GET", "/version")).json.docker;
  expect(engineKind() === "20.10" || version.MinAPIVersion === LEAST_API).toBe(true);
  const statuses = [
    await call("PUT", "/", { name: "box", image: "busybox", detach: true, data: "sleep 1000" }),
    await call("GET", "/"),
    await call("GET", "/box"),
    await call("POST", "/box", { data: "echo hello" }),
    await call("GET", "/containers/box"),
    await call("GET", "/containers/box/stats"),
    await call("GET", "/containers/box/files?path=/etc"),
    await call("POST", "/containers/box/restart"),
    await call("POST", "/run", { ...RUN, volumes: { "/a": { type: "file", content: "YQ==", response: true } } }),
    await call("GET", "/images"),
    await call("GET", "/volumes"),
    await call("DELETE", "/box"),
  ];
  expect(statuses).toEqual(Array(12).fill(200));
});

test("DEFAULT_USER_UID owns /app; without Compose the server says what to install", async () => {
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
  const refusal = `echo "docker: 'compose' is not a docker command." >&2; exit 1`;
  const lacking = await serverWithCli(`[ "$1" = compose ] && { ${refusal}; }\nexec ${await cliPath()} "$@"`);
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
