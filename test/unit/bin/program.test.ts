import { type ChildProcess, spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { version } from "../../../package.json";
import { until } from "../../../scripts/process";
import { freePorts } from "../../support/ports";
import { type CompiledProgram, compileProgram } from "../../support/unit/compiled-program";

let program: CompiledProgram;
let folder: string;
const children: ChildProcess[] = [];
beforeAll(() => {
  program = compileProgram();
  folder = mkdtempSync(path.join(tmpdir(), "docker-server-program-"));
});
afterAll(() => {
  for (const child of children) child.kill("SIGKILL");
  rmSync(folder, { recursive: true });
  program.remove();
});

interface Started {
  child: ChildProcess;
  stdout: string;
  stderr: string;
  ended: Promise<number | null>;
}

function start(command: string, args: string[], env: NodeJS.ProcessEnv = {}): Started {
  const { PATH } = process.env;
  const child = spawn(command, args, { cwd: folder, env: { PATH, HOME: folder, ...env }, stdio: ["ignore", "pipe", "pipe"] });
  children.push(child);
  const ended = new Promise<number | null>((resolve) => child.on("close", resolve));
  const started: Started = { child, stdout: "", stderr: "", ended };
  child.stdout?.on("data", (chunk) => {
    started.stdout += chunk;
  });
  child.stderr?.on("data", (chunk) => {
    started.stderr += chunk;
  });
  return started;
}

async function runProgram(args: string[], env: NodeJS.ProcessEnv = {}) {
  const started = start(process.execPath, [program.file, ...args], env);
  const code = await started.ended;
  return { code, stdout: started.stdout, stderr: started.stderr };
}

/** Options of a server with the token x and without an engine. */
const listening = (port: number | undefined) => [`--port=${port}`, "--host=127.0.0.1", "--docker_host=/nowhere.sock", "--token=x"];

describe("bundles", () => {
  const filesOf = (name: string, extension: string) =>
    readdirSync(path.join(program.folder, name))
      .filter((file) => file.endsWith(extension))
      .map((file) => path.join(program.folder, name, file));

  test("each bundle of a package loads without any installed package", async () => {
    const files = filesOf("packages", ".js");
    expect(files.map((file) => path.basename(file))).toEqual(expect.arrayContaining(["aws-sdk-client-s3.js", "redis.js", "yauzl.js"]));
    const code = `for (const file of ${JSON.stringify(files)}) require(file); process.exit()`;
    const { ended, stderr } = start(process.execPath, ["-e", code]);
    expect({ code: await ended, stderr }).toEqual({ code: 0, stderr: "" });
  });

  test("the start loads no package that only some requests or settings need", async () => {
    const code = `process.on("exit", () => console.log(JSON.stringify(Object.keys(require.cache))));
      process.argv = [process.execPath, "docker-server"]; require(${JSON.stringify(program.file)});`;
    const started = start(process.execPath, ["-e", code]);
    expect(await started.ended).toBe(2); // it has no token
    expect(JSON.parse(started.stdout)).toEqual([program.file, path.join(program.folder, "packages/start.js")]);
  });

  test("the licence of every bundled package is listed", () => {
    const sources = [...filesOf("bin", ".map"), ...filesOf("packages", ".map")].flatMap(
      (file) => JSON.parse(readFileSync(file, "utf8")).sources,
    );
    const names = new Set(sources.flatMap((source) => /.*node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(source)?.[1] ?? []));
    const text = readFileSync(path.join(program.folder, "LICENSES.txt"), "utf8");
    const listed = new Set([...text.matchAll(/^(\S+) \d+\.\d+\.\S+: ./gm)].map(([, name]) => name));
    expect([...names].filter((name) => !listed.has(name))).toEqual([]);
    expect([...listed]).toEqual(expect.arrayContaining(["express", "redoc", "swagger-ui-dist", "zod"]));
  });
});

test.each([
  [["--prt", "1"], /^docker-server: .*prt \(did you mean --port\?\)\n$/],
  [["--port=abc"], /^docker-server: --port must be a number.*\n$/],
  [["--config=nowhere.json"], /^docker-server: .*nowhere\.json.*\n$/],
  [["--host=[::1]", "--token=x"], /^docker-server: --host must be an address without brackets.*\n$/],
  [["--https=maybe", "--token=x"], /^docker-server: --https must be true or false.*\n$/],
])("%j prints one line and exits with 2", async (args, line) => {
  expect(await runProgram(args)).toEqual({ code: 2, stdout: "", stderr: expect.stringMatching(line) });
});

test("a bad variable prints one line and exits with 2", async () => {
  const { code, stderr } = await runProgram(["--token=x"], { DS_PORT: "abc" });
  expect([code, stderr]).toEqual([2, expect.stringMatching(/^docker-server: DS_PORT must be a number.*\n$/)]);
});

test("without a token and without a terminal it prints one line and exits with 2", async () => {
  expect(await runProgram([])).toEqual({ code: 2, stdout: "", stderr: expect.stringMatching(/^docker-server: A token is required.*\n$/) });
  expect((await runProgram([], { DS_TOKEN: "" })).code).toBe(2);
});

test("--version prints the version and exits with 0", async () => {
  expect(await runProgram(["--version"])).toEqual({ code: 0, stdout: `${version}\n`, stderr: "" });
});

test("--help shows every group of options and exits with 0, without the required token", async () => {
  const { code, stdout, stderr } = await runProgram(["--help"]);
  expect([code, stderr]).toEqual([0, ""]);
  for (const word of ["Server:", "Access:", "Docker:", "Cluster:", "Runs:", "Logs:", "--log_lovel", "--low-burst", "[default: 1717]"]) {
    expect(stdout).toContain(word);
  }
});

test("HTTPS without a readable certificate is an error, with no fallback to HTTP", async () => {
  const [port] = await freePorts(1);
  const { code, stderr } = await runProgram([
    `--port=${port}`,
    "--host=127.0.0.1",
    "--token=x",
    "--https=yes",
    "--https_cert=/nowhere.pem",
  ]);
  expect(code).toBe(1);
  expect(stderr).toMatch(/^docker-server: .*nowhere\.pem.*\n$/);
});

test("at a terminal it generates a token, prints it once, accepts it and never logs it", async () => {
  const [port] = await freePorts(1);
  const command = [process.execPath, program.file, `--port=${port}`, "--host=127.0.0.1", "--docker_host=/nowhere.sock"];
  const started = start("script", ["--quiet", "--flush", "--return", "--command", `exec ${command.join(" ")}`, "/dev/null"]);
  expect(await until(() => started.stdout.includes("listening on"), 30_000)).toBe(true);
  const token = /shown only now: (\S+)/.exec(started.stdout)?.[1] ?? "";
  expect(token).toMatch(/^[\w-]{32}$/);
  expect(started.stdout.split(token)).toHaveLength(2);
  const ask = async (given: string) =>
    (await fetch(`http://127.0.0.1:${port}/nowhere/at/all`, { headers: { "X-Access-Token": given } })).status;
  expect(await ask(token)).toBe(404);
  expect(await ask(`${token}x`)).toBe(401);
  started.child.kill("SIGTERM");
  await started.ended;
  const log = readFileSync(path.join(folder, "logs/docker-server.log"), "utf8");
  expect(log).toContain("listening on");
  expect(log).not.toContain(token);
});

test("the process list shows no token", async () => {
  const [port] = await freePorts(1);
  const started = start(process.execPath, [
    program.file,
    `--port=${port}`,
    "--host=127.0.0.1",
    "--docker_host=/nowhere.sock",
    "--token=Hunter2x",
  ]);
  expect(await until(() => started.stdout.includes("listening on"), 30_000)).toBe(true);
  const listed = start("ps", ["-o", "args=", "-p", String(started.child.pid)]);
  await listed.ended;
  expect(listed.stdout).toContain("docker-server");
  expect(listed.stdout).not.toContain("Hunter2x");
  started.child.kill("SIGTERM");
  expect(await started.ended).toBe(0);
  expect(started.stdout + started.stderr).not.toContain("Hunter2x");
});

test.each(["::1", "::"])("with --host %s it listens, and logs a valid URL", async (host) => {
  const [port] = await freePorts(1);
  const args = [`--port=${port}`, `--host=${host}`, "--docker_host=/nowhere.sock", "--token=x"];
  const started = start(process.execPath, [program.file, ...args]);
  expect(await until(() => started.stdout.includes("listening on") || started.stderr !== "", 30_000)).toBe(true);
  expect(/listening on (http:\/\/[^\s"]+)/.exec(started.stdout)?.[1]).toBe(`http://[${host}]:${port}`);
  expect((await fetch(`http://[::1]:${port}/openapi.json`)).status).toBe(200);
  started.child.kill("SIGTERM");
  expect(await started.ended).toBe(0);
});

// The AWS SDK warns of this version of Node before.
test.each([
  [["--s3=bucket"], /(?:^|\n)docker-server: --s3 needs --s3_region.*\n$/],
  [["--s3=bucket", "--s3_endpoint=10.0.0.9:9000"], /(?:^|\n)docker-server: --s3_endpoint must be a URL.*\n$/],
  [["--redis=http://10.0.0.9"], /(?:^|\n)docker-server: --redis must be a URL.*\n$/],
])("a store that can never work, %j, fails the start", async (store, line) => {
  const [port] = await freePorts(1);
  const { code, stderr } = await runProgram([...listening(port), "--cluster", ...store]);
  expect([code, stderr]).toEqual([2, expect.stringMatching(line)]);
});

test("a store that can't be reached doesn't fail the start: the node says that all is not complete until it was read", async () => {
  const [port] = await freePorts(1);
  // A file in place of a folder is in the way of the store until it is removed.
  const inTheWay = path.join(folder, "in-the-way");
  writeFileSync(inTheWay, "");
  const store = ["--cluster", `--folder=${inTheWay}/store`, "--refresh_rate=200", "--cache_interval=100"];
  const started = start(process.execPath, [program.file, ...listening(port), ...store]);
  expect(await until(() => started.stdout.includes("listening on"), 30_000)).toBe(true);
  const textOf = async (place: string) => (await fetch(`http://127.0.0.1:${port}${place}`, { headers: { "X-Access-Token": "x" } })).text();
  const told = async () => ({
    nodes: JSON.parse(await textOf("/nodes")).complete,
    metrics: /^docker_server_cluster_complete (\d)$/m.exec(await textOf("/metrics"))?.[1],
  });
  expect(await told()).toEqual({ nodes: false, metrics: "0" });
  rmSync(inTheWay);
  expect(await until(async () => (await told()).nodes === true, 30_000)).toBe(true);
  expect(await told()).toEqual({ nodes: true, metrics: "1" });
  started.child.kill("SIGTERM");
  expect(await started.ended).toBe(0);
});

test("it starts, serves and stops while neither its logs nor its terminal can be written", async () => {
  const [port] = await freePorts(1);
  const full = path.join(folder, "full");
  mkdirSync(full);
  // Writes to /dev/full fail with ENOSPC. The test may begin before midnight.
  for (const days of [0, 1]) {
    const date = new Date(Date.now() + days * 86_400_000);
    const day = [date.getFullYear(), date.getMonth() + 1, date.getDate()].map((part) => String(part).padStart(2, "0")).join("-");
    for (const file of [`docker-server-${day}.log`, `actions-${day}.jsonl`]) symlinkSync("/dev/full", path.join(full, file));
  }
  const command = [process.execPath, program.file, ...listening(port), `--log_dir=${full}`];
  const started = start("sh", ["-c", 'exec "$@" > /dev/full', "sh", ...command]);
  const metrics = () =>
    fetch(`http://127.0.0.1:${port}/metrics`, { headers: { "X-Access-Token": "x" } }).then(
      (response) => response.text(),
      () => "",
    );
  const areCounted = (text: string) =>
    ["docker-server.log", "actions.jsonl", "terminal"].every((file) =>
      new RegExp(`docker_server_log_lines_lost\\{file="${file}"\\} [1-9]`).test(text),
    );
  expect(await until(async () => areCounted(await metrics()), 30_000)).toBe(true);
  expect(started.stderr).toMatch(/^The log docker-server\.log can't be written, \d+ lines are lost: ENOSPC/m);
  started.child.kill("SIGTERM");
  expect(await started.ended).toBe(0);
});
