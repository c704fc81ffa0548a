import { mkdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { type Daemon, startDaemon } from "../../../scripts/daemon";
import { answers, run, runOrThrow, until } from "../../../scripts/process";
import { type Engine, startEngine } from "../../support/engine";
import { importWeb } from "../../support/images";
import { readmeCommand, readmeCommands } from "../../support/readme";
import { ask } from "../../support/server";

const ROOT = path.resolve(__dirname, "../../..");
const TOKEN = "my_secret_token";
const BUCKET = "my-bucket";

let engine: Engine;
let env: NodeJS.ProcessEnv;
const daemons: Daemon[] = [];
beforeAll(async () => {
  engine = await startEngine({ name: "readme" });
  // Like the image that the README names, it keeps running and writes to its log.
  await importWeb(engine, "redis");
  const installed = path.join(engine.folder, "installed");
  mkdirSync(path.join(engine.folder, "mnt/shared"), { recursive: true });
  env = { PATH: `${installed}/bin:${process.env.PATH}`, HOME: engine.folder, npm_config_prefix: installed, DOCKER_HOST: engine.dockerHost };
  const packed = (await runOrThrow("npm", ["pack", ROOT, "--pack-destination", engine.folder])).trim();
  const install = readmeCommand("npm install").replace(/ docker-server$/, ` ${path.join(engine.folder, packed)} --prefer-offline`);
  const { code, stderr } = await run("sh", ["-c", install], { env: { ...process.env, npm_config_prefix: installed } });
  if (code !== 0) throw new Error(stderr);
});
afterAll(() => engine?.stop());
afterEach(async () => {
  for (const daemon of daemons.splice(0).reverse()) await daemon.end("SIGTERM", 20_000);
});

/** Runs a command line on the simulated host, with its own folder at /mnt, until the end of the test. */
async function startInBackground(line: string, port: number, more: NodeJS.ProcessEnv = {}, ready?: () => Promise<boolean>): Promise<void> {
  const script = `mount --bind ${engine.folder}/mnt /mnt && exec ${line}`;
  const [command = "", ...args] = engine.inside(["unshare", "--mount", "sh", "-c", script]);
  const answering = () => answers({ host: engine.address, port, path: "/health" });
  const logFile = path.join(engine.folder, `${port}.log`);
  daemons.push(await startDaemon({ command, args, env: { ...env, ...more }, cwd: engine.folder, logFile, ready: ready ?? answering }));
}

/** Runs a command line on the simulated host to its end. */
async function onHost(line: string): Promise<string> {
  const [command = "", ...args] = engine.inside(["sh", "-c", line]);
  const { code, stdout, stderr } = await run(command, args, { env });
  if (code !== 0) throw new Error(`${line}: ${stderr}`);
  return stdout;
}

test("the installed program's check finds the engine, its CLI, Compose and the clock well; without an engine it fails", async () => {
  const check = (line: string) => {
    const [command = "", ...args] = engine.inside(["sh", "-c", `docker-server check --token ${TOKEN} ${line}`]);
    return run(command, args, { env });
  };
  const { code, stdout, stderr } = await check("");
  expect(stderr).toBe("");
  for (const line of [
    "engine: unix://.*, version .*, API",
    "docker CLI: version .* works",
    "compose: version 2",
    "clock: .* differs by 0 s",
  ])
    expect(stdout).toMatch(new RegExp(`^ok     ${line}`, "m"));
  // A disk of the machine that runs the tests may be full.
  expect(code).toBe(stdout.includes("WRONG") ? 1 : 0);
  expect(stdout.match(/^WRONG {2}(?!engine's disk|log folder).*/gm)).toBeNull();
  expect(await check("--docker_host unix:///nonexistent.sock")).toMatchObject({ code: 1, stdout: expect.stringContaining("start Docker") });
});

test("these tests run every command of the README", () => {
  const beginnings = readmeCommands().map((line) => line.split(" -H ")[0]?.split(" ").slice(0, 4).join(" "));
  expect([...new Set(beginnings)].sort()).toEqual([
    "curl -X DELETE http://localhost:1717/p-redis",
    "curl -X PUT http://localhost:1717/",
    "curl http://localhost:1717/",
    "curl http://localhost:1717/p-redis",
    "curl http://localhost:1717/run",
    "docker run -d -p",
    "docker-server --token my_secret_token",
    "docker-server --token my_secret_token --cluster",
    "docker-server --token_file token.txt",
    "head -c 24 /dev/urandom",
    "npm install -g docker-server",
  ]);
});

test("the README's first commands install and start it, run and list a container, read its log, execute in it, run a job and remove it", async () => {
  const [alone = ""] = readmeCommands().filter((line) => line.startsWith("docker-server"));
  await startInBackground(alone, 1717);
  const answer = async (beginning: string) => JSON.parse(await onHost(readmeCommand(beginning)));
  expect(await answer("curl -X PUT")).toMatchObject({ name: "p-redis", status: "running" });
  expect(await answer("curl http://localhost:1717/ ")).toMatchObject([{ name: "p-redis", image: "redis" }]);
  const ofContainer = readmeCommands().filter((line) => line.startsWith("curl http://localhost:1717/p-redis "));
  const [logs = "", exec = ""] = ofContainer;
  expect(ofContainer).toHaveLength(2);
  expect(await until(async () => JSON.parse(await onHost(logs)).stdout === "serving\n", 10_000)).toBe(true);
  expect(JSON.parse(await onHost(exec))).toMatchObject({ exit_code: 0, stdout: "hello\n" });
  // There is no registry here: the run takes the image of the host, and says so.
  expect(await answer("curl http://localhost:1717/run")).toMatchObject({ status: "success", stdout: "hello\n" });
  expect(await answer("curl -X DELETE")).toMatchObject({ name: "p-redis", removed: true });
});

test("the README's token file is made, and its token admits", async () => {
  await onHost(`cd ${engine.folder} && ${readmeCommand("head -c 24")}`);
  await startInBackground(readmeCommand("docker-server --token_file"), 1717);
  const token = readFileSync(path.join(engine.folder, "token.txt"), "utf8").trim();
  const statusWith = async (secret: string) =>
    (await ask(`http://${engine.address}:1717`, "GET", "/healthz", { headers: { Authorization: `Bearer ${secret}` } })).status;
  expect([await statusWith(token), await statusWith(TOKEN)]).toEqual([200, 401]);
});

const STORES: Record<string, () => Promise<NodeJS.ProcessEnv>> = {
  "--folder /mnt/shared": async () => ({}),
  "--s3 my-bucket": async () => {
    await startInBackground("/usr/bin/moto_server -H 127.0.0.1 -p 5000", 5000, {}, () =>
      onHost("curl -s http://127.0.0.1:5000/").then(
        () => true,
        () => false,
      ),
    );
    const signed = "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0";
    await onHost(`curl -sf -X PUT -H 'Authorization: ${signed}' http://127.0.0.1:5000/${BUCKET}`);
    return { DS_S3_ENDPOINT: "http://127.0.0.1:5000", AWS_ACCESS_KEY_ID: "test", AWS_SECRET_ACCESS_KEY: "test", AWS_REGION: "us-east-1" };
  },
  "--redis redis://10.0.0.9:6379": async () => {
    await onHost("ip addr add 10.0.0.9/32 dev lo");
    await startInBackground("redis-server --bind 10.0.0.9 --protected-mode no --save ''", 6379, {}, () =>
      onHost("redis-cli -h 10.0.0.9 ping").then(
        () => true,
        () => false,
      ),
    );
    return {};
  },
};

test.each(readmeCommands().filter((line) => line.includes("--cluster")))("%s: two nodes started so find each other", async (line) => {
  const store = STORES[line.slice(line.indexOf("--cluster") + 10)];
  const more = await (store as () => Promise<NodeJS.ProcessEnv>)();
  await startInBackground(line, 1717, more);
  await startInBackground(line, 1718, { ...more, DS_PORT: "1718" });
  const known = async (port: number) => {
    await sleep(300); // stays below the burst limit per minute
    const { json } = await ask(`http://${engine.address}:${port}`, "GET", "/nodes", { headers: { Authorization: `Bearer ${TOKEN}` } });
    return json.nodes.map(({ name }: { name: string }) => name).sort();
  };
  const both = [`${engine.address}:1717`, `${engine.address}:1718`];
  expect(await until(async () => JSON.stringify([await known(1717), await known(1718)]) === JSON.stringify([both, both]), 30_000)).toBe(
    true,
  );
});
