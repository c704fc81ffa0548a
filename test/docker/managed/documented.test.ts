import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { run, runOrThrow, until } from "../../../scripts/process";
import { ALL_ADDRESSES, cpuLimit, hubImage } from "../../support/engine";
import { runProgram, startProgram, USER } from "../../support/example-programs";
import { importPython, importWeb } from "../../support/images";
import { freePorts } from "../../support/ports";
import { startServer } from "../../support/server";
import { auditEntries, type OneNode, startNode } from "../../support/single-node";

const DEADLINE_MS = 30_000;
const QUICK = ["sh", "-c", "trap exit TERM; while :; do sleep 0.1; done"];

let node: OneNode;
let folder: string;
let slow: Promise<unknown>;
beforeAll(async () => {
  folder = mkdtempSync(path.join(tmpdir(), "docker-server-documented-"));
  node = await startNode({ name: "documented", env: { ...USER, DEFAULT_USER_UID: "1000:1000" } });
  await importPython(node.engine, "python:3.12-slim", ["/usr/bin/python3"]);
  await importWeb(node.engine, "nginx:alpine");
  for (const image of ["redis:alpine", "postgres:alpine"]) await node.docker("tag", "busybox", image);
  // For Debug Mode: a request that takes more than 5 s.
  await node.docker("run", "--detach", "--name=slow", "busybox", "sleep", "100000");
  const body = { json: { command: ["sleep", "5.1"] }, headers: { "X-Request-Id": "slow-one" } };
  slow = node.request("POST", "/containers/slow/exec", body);
});
afterAll(async () => {
  rmSync(folder, { recursive: true, force: true });
  await node?.stop();
});

const example = (...command: string[]) => runProgram({ url: node.server.url, folder }, command);
const create = async (more: object = {}) =>
  (await node.request("POST", "/containers", { json: { image: "nginx:alpine", ...more } })).json.cuid as string;
const remove = (cuid: string) => node.request("DELETE", `/containers/${cuid}`);
const step = async (cuid: string, action: string) => expect((await node.request("POST", `/containers/${cuid}/${action}`)).status).toBe(200);

describe("python", () => {
  test("Create Container and Upload make a container that runs; the same host port again is a conflict", async () => {
    const [, cuid = ""] = /^Created container: (c[0-9a-z]{24})$/.exec(await example("create.py")) ?? [];
    const { Config, HostConfig, State } = await node.inspect(cuid);
    expect([Config.Image, State.Status]).toEqual([hubImage("python:3.12-slim"), "created"]);
    expect(Config.Env).toEqual(expect.arrayContaining(["APP_ENV=production", "DEBUG=false", "TAGS=web,production"]));
    expect(HostConfig).toMatchObject({ ...cpuLimit(1), Memory: 4096 * 1024 ** 2, PidsLimit: 2048 });
    expect(HostConfig.PortBindings).toEqual({ "80/tcp": [{ HostIp: ALL_ADDRESSES, HostPort: "8080" }] });

    expect(await example("upload.py", cuid)).toBe("True");
    await step(cuid, "start");
    const log = async () => (await node.request("GET", `/containers/${cuid}/logs`)).text;
    const expectedLog = `Container ${cuid} started\nTags: web,production\nWorking...\n`;
    expect(await until(async () => (await log()) === expectedLog, DEADLINE_MS)).toBe(true);
    const owned = "import os; print(os.stat('/app/data/config.json')[4:6], open('/app/data/config.json').read())";
    expect(await node.docker("exec", cuid, "/usr/bin/python3", "-c", owned)).toBe('(1000, 1000) {"setting": "value"}');
    expect(await node.docker("exec", cuid, "/usr/bin/python3", "-c", "print(open('/app/requirements.txt').read())")).toBe(
      "requests==2.31.0\nnumpy==1.24.0",
    );

    expect(await example("create.py")).toMatch(/^Error: \{'error': 'conflict', 'code': 'PORT_TAKEN', .*'status': 409/);
    await remove(cuid);
  });

  test("Port Management replaces the published ports, and returns false for an unknown container", async () => {
    const cuid = await create({ ports: [{ host: 8081, container: 80 }] });
    expect(await example("ports.py", cuid)).toBe("True");
    expect((await node.inspect(cuid)).HostConfig.PortBindings).toEqual({
      "3000/tcp": [{ HostIp: ALL_ADDRESSES, HostPort: "3000" }],
      "9000/udp": [{ HostIp: ALL_ADDRESSES, HostPort: "9000" }],
    });
    await remove(cuid);
    expect(await example("ports.py", cuid)).toBe("False");
  });

  test("Connection Pooling: one connection carries all requests of a session", async () => {
    const [first, second, pool] = (await example("pooling.py")).split("\n") as [string, string, string];
    expect(pool).toBe("2 requests, 1 connection");
    for (const made of [first, second]) {
      const [status, cuid = ""] = made.split(" ");
      expect([status, (await node.inspect(cuid)).Config.Image]).toEqual(["201", hubImage("nginx:alpine")]);
      await remove(cuid);
    }
  });

  test("Async Operations: concurrent creations all succeed, each answered to its own request", async () => {
    const [count, ...made] = (await example("batch.py")).split("\n");
    expect([count, made.length]).toEqual(["Created 3 containers", 3]);
    for (const line of made) {
      const [image, cuid = ""] = line.split(" ");
      expect((await node.inspect(cuid)).Config.Image).toBe(hubImage(image ?? ""));
      await remove(cuid);
    }
    expect(made.map((line) => line.split(" ")[0])).toEqual(["nginx:alpine", "redis:alpine", "postgres:alpine"]);
  });

  test("Error Handling: a client error is reported once with its id, a server error is retried three times", async () => {
    const cuid = await create();
    expect(await example("retry.py", cuid)).toBe("created");
    await remove(cuid);
    const errorLine = /^API Error: .+ \(ID: ([\w-]{36})\)\nNone$/;
    const [, id] = errorLine.exec(await example("retry.py", cuid)) ?? [];
    const statusRequests = (server: OneNode["server"]) =>
      auditEntries(server).filter(({ path: requested }) => requested === `/containers/${cuid}/status`);
    expect(
      await until(() => statusRequests(node.server).some(({ request_id, status }) => request_id === id && status === 404), DEADLINE_MS),
    ).toBe(true);
    expect(statusRequests(node.server).map(({ status }) => status)).toEqual([200, 404]);

    const broken = await startServer({ env: { ...USER, DOCKER_HOST: `unix://${folder}/no-engine.sock` } });
    try {
      expect(await runProgram({ url: broken.url, folder }, ["retry.py", cuid])).toMatch(errorLine);
      expect(await until(() => statusRequests(broken).length === 3, DEADLINE_MS)).toBe(true);
      expect(statusRequests(broken).map(({ error, status }) => [error, status])).toEqual(Array(3).fill(["unavailable", 503]));
    } finally {
      await broken.stop();
    }
  });

  test("Health Monitoring: reports Compose's version, wrong credentials and an absent server", async () => {
    const [, version = ""] = /(\d+\.\d+\.\d+)/.exec(await node.docker("compose", "version", "--short")) ?? [];
    const [nobody] = await freePorts(1);
    for (const [url, env, line] of [
      [node.server.url, {}, new RegExp(`^(API healthy: Compose ${version}\\S*\n){2}`)],
      [node.server.url, { APP_PASS: "wrong" }, /^API unhealthy: Status 401\n/],
      [`http://127.0.0.1:${nobody}`, {}, /^Health check failed: .*refused/],
    ] as const) {
      const monitor = startProgram({ url, folder }, ["health.py"], env);
      await monitor.prints(line);
      monitor.type("");
      expect((await monitor.result).code).toBe(0);
    }
  });
});

describe("javascript", () => {
  test("List Containers: filters by status and pages to the end", async () => {
    const [running, paused] = [await create({ command: QUICK }), await create({ command: QUICK })];
    for (const cuid of [running, paused]) await step(cuid, "start");
    await step(paused, "pause");
    const listed = JSON.parse((await example("list.js", "running", "paused")).replace("Found 2 containers\n", ""));
    // Newest first, but the engine's creation times have a resolution of one second.
    expect(listed.sort((a: { status: string }, b: { status: string }) => a.status.localeCompare(b.status))).toEqual([
      { cuid: paused, status: "paused" },
      { cuid: running, status: "running" },
    ]);
    for (const cuid of [running, paused]) await remove(cuid);

    const env = { PATH: process.env.PATH, HOME: folder, DOCKER_HOST: node.engine.dockerHost };
    await runOrThrow(
      "sh",
      ["-c", "seq 103 | xargs -P 4 -I N docker create --label page --label dockapi.managed=true --network none busybox"],
      { env },
    );
    const lines = (await example("list.js", "created")).split("\n");
    expect(lines.slice(0, -1)).toEqual([
      "Found 100 containers",
      expect.stringMatching(/^More results available, cursor: \S+$/),
      "Found 3 containers",
    ]);
    await runOrThrow("sh", ["-c", "docker ps --all --quiet --filter label=page | xargs -P 4 -n 30 docker rm --force"], { env });
  });

  test("Download Files: a file as it is, and a folder as a zip archive", async () => {
    const cuid = await create();
    await example("upload.py", cuid);
    expect(await example("download.js", cuid, "boot.py", "data")).toBe("");
    expect(readFileSync(path.join(folder, "downloaded_file"), "utf8")).toMatch(/^\nimport os\nimport time\n.*time\.sleep\(10\)\n$/s);
    const script = `import sys, zipfile
for name in (archive := zipfile.ZipFile(sys.argv[1])).namelist(): print(name, archive.read(name))`;
    const { stdout } = await run("/usr/bin/python3", ["-c", script, path.join(folder, "container_backup.zip")]);
    expect(stdout).toContain(`config.json b'{"setting": "value"}'`);
    expect(stdout).not.toContain("boot.py");
    await remove(cuid);
  });
});

test("go: Update Container Configuration changes the given fields only, and reports failures", async () => {
  const cuid = await create({ env: { OLD_VAR: "old", KEPT: "kept" }, tags: ["old"], resources: { cpus: 0.5, memory: "64m" } });
  expect(await example("update.go", cuid)).toBe("updated");
  const { Config, HostConfig } = await node.inspect(cuid);
  expect(Config.Env).toEqual(expect.arrayContaining(["NEW_VAR=value", "KEPT=kept", "TAGS=updated,v2"]));
  expect(Config.Env.join()).not.toContain("OLD_VAR");
  expect(HostConfig).toMatchObject({ Memory: 8192 * 1024 ** 2, ...cpuLimit(0.5) });
  await remove(cuid);
  expect(await example("update.go", cuid)).toBe("update failed with status: 404");
});

test("ruby: Container Control Operations change the state, and report a wrong state", async () => {
  const cuid = await create({ command: QUICK });
  const steps = await example("control.rb", cuid, "start", "pause", "start", "unpause", "restart", "stop", "stop");
  expect(steps.replaceAll(cuid, "CUID").split("\n")).toEqual([
    "start: CUID running",
    "pause: CUID paused",
    "start: 422 state_error",
    "unpause: CUID running",
    "restart: CUID running",
    "stop: CUID exited",
    "stop: 422 state_error",
  ]);
  expect((await node.inspect(cuid)).State.Status).toBe("exited");
  await remove(cuid);
});

test("python: Debug Mode finds errors, refused credentials and slow requests in the audit log", async () => {
  await slow;
  const refused = { anonymous: true, headers: { "X-Request-Id": "no-credentials" } };
  expect((await node.request("GET", "/containers", refused)).status).toBe(401);
  const logged = () => auditEntries(node.server).map(({ request_id }) => request_id);
  expect(await until(() => ["slow-one", "no-credentials"].every((id) => logged().includes(id)), DEADLINE_MS)).toBe(true);
  const lines = (await example("analyze_logs.py", path.join(node.server.folder, "logs/actions.jsonl"))).split("\n");
  const errors = auditEntries(node.server).filter(({ status }) => status >= 400);
  expect(lines).toEqual(expect.arrayContaining([`Found ${errors.length} errors`, "auth_error no-credentials", "slow slow-one"]));
});
