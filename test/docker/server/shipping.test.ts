import { mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import path from "node:path";
import { answers, run, until } from "../../../scripts/process";
import { type Engine, startEngine } from "../../support/engine";
import { askHttps, fingerprintOf, selfSigned } from "../../support/https";
import { importBusybox } from "../../support/images";
import { buildShipped } from "../../support/node-images";
import { readmeCommand } from "../../support/readme";
import { pushImage, startRegistry } from "../../support/registry";
import { ask, type RequestOptions, TOKEN } from "../../support/server";
import { dockerOf } from "../../support/single-node";

const WAIT_TIMEOUT_MS = 30_000;
const IMAGE = "docker-server:test";

let engine: Engine;
const docker = (...args: string[]) => dockerOf(engine, args);
beforeAll(async () => {
  engine = await startEngine({ name: "shipping" });
  await importBusybox(engine);
  await buildShipped(engine, IMAGE);
});
afterAll(() => engine?.stop());
afterEach(async () => {
  const remaining = await docker("ps", "--all", "--quiet");
  if (remaining !== "") await docker("rm", "--force", ...remaining.split("\n"));
});

/** Runs the image with the socket mounted as documented. */
function start(options: string[], command: string[] = []): Promise<string> {
  const socket = ["-v", `${engine.socket}:/var/run/docker.sock`];
  return docker("run", "-d", "--name", "docker-server", "--health-interval=500ms", ...socket, ...options, IMAGE, ...command);
}

async function ready(port: number): Promise<void> {
  if (await until(() => answers({ host: engine.address, port, path: "/health" }), WAIT_TIMEOUT_MS)) return;
  const { stdout, stderr } = await engine.docker(["logs", "docker-server"]);
  throw new Error(`the container's server doesn't answer: ${stdout}${stderr}`);
}

const request = (method: string, pathname: string, options?: RequestOptions) =>
  ask(`http://${engine.address}:1717`, method, pathname, options);

const inspect = (format: string) => docker("inspect", "--format", format, "docker-server");
const becomes = (health: string) => until(async () => (await inspect("{{.State.Health.Status}}")) === health, WAIT_TIMEOUT_MS);

describe("image", () => {
  test("the image listens on 1717 and the program receives the engine's signals directly", async () => {
    const config = JSON.parse(await docker("inspect", "--format", "{{json .Config}}", IMAGE));
    expect(config).toMatchObject({ ExposedPorts: { "1717/tcp": {} }, Cmd: ["docker-server"] });
    expect({ user: config.User || "root", entrypoint: config.Entrypoint ?? [] }).toEqual({ user: "root", entrypoint: [] });
  });

  test("the image holds the bundled program with the licences of what is in it, and neither packages nor build files", async () => {
    expect((await docker("run", "--rm", IMAGE, "sh", "-c", "ls /app /app/dist")).split("\n")).toEqual([
      "/app:",
      "dist",
      "logs",
      "",
      "/app/dist:",
      "LICENSES.txt",
      "bin",
      "console",
      "docs-pages",
      "packages",
    ]);
  });

  test("the image has the docker CLI and its compose plugin", async () => {
    expect(await docker("run", "--rm", IMAGE, "docker", "--version")).toMatch(/^Docker version /);
    expect(await docker("run", "--rm", IMAGE, "docker", "compose", "version")).toMatch(/^Docker Compose version v?2/);
  });
});

test("the README's `docker run` serves the six root routes and becomes healthy", async () => {
  const registry = await startRegistry();
  try {
    const image = await pushImage(engine, registry, "busybox");
    const line = readmeCommand("docker run")
      .replace("-v /var/run/docker.sock:", `--health-interval=500ms -v ${engine.socket}:`)
      .replace("my_secret_token", TOKEN)
      .replace(/docker-server$/, IMAGE);
    expect((await run("sh", ["-c", line], { env: { PATH: process.env.PATH, DOCKER_HOST: engine.dockerHost } })).code).toBe(0);
    await ready(1717);

    expect((await request("GET", "/", { anonymous: true })).json).toMatchObject({ name: "docker-server" });
    expect((await request("HEAD", `/${image}`)).status).toBe(200);
    const data = ["sh", "-c", "echo hello; sleep 1000"];
    expect((await request("PUT", "/", { json: { image, name: "from-inside", detach: true, data } })).status).toBe(200);
    const named = (await request("GET", "/")).json.map(({ name }: { name: string }) => name).sort();
    expect(named).toEqual(["docker-server", "from-inside"]);
    await until(async () => (await request("GET", "/from-inside")).json.stdout !== "", WAIT_TIMEOUT_MS);
    expect((await request("GET", "/from-inside")).json).toMatchObject({ stdout: "hello\n" });
    expect((await request("POST", "/from-inside", { form: "data=echo hi" })).json).toMatchObject({ exit_code: 0, stdout: "hi\n" });
    expect((await request("DELETE", "/from-inside")).status).toBe(200);
    expect((await engine.docker(["inspect", "from-inside"])).code).toBe(1);
    expect(await becomes("healthy")).toBe(true);
  } finally {
    await registry.stop();
  }
});

test("`--https` serves HTTPS with the files in /certs, is healthy and uses renewed files", async () => {
  const folder = path.join(engine.folder, "certs");
  const renewal = path.join(engine.folder, "renewal");
  mkdirSync(folder);
  mkdirSync(renewal);
  const name = "your-domain.example";
  const [files, next] = await Promise.all([selfSigned(folder, name), selfSigned(renewal, name)]);
  const trust = (cert: string) => ({ ca: readFileSync(cert), servername: name, host: engine.address });
  const before = trust(files.cert);
  const mounts = ["cert.pem", "privkey.pem"].flatMap((file) => ["-v", `${path.join(folder, file)}:/certs/${file}:ro`]);
  await start(["-p", "443:1717", ...mounts], ["docker-server", "--token", TOKEN, "--https"]);
  const served = (cert: string) => fingerprintOf(443, trust(cert)).then(Boolean, () => false);
  expect(await until(() => served(files.cert), WAIT_TIMEOUT_MS)).toBe(true);
  expect((await askHttps(443, before, "GET", "/version")).status).toBe(200);
  expect(await becomes("healthy")).toBe(true);

  // Overwritten in place: a bind mount of a single file keeps its inode.
  writeFileSync(files.privkey, readFileSync(next.privkey));
  writeFileSync(files.cert, readFileSync(next.cert));
  expect(await until(() => served(next.cert), WAIT_TIMEOUT_MS)).toBe(true);
  expect(await inspect("{{.RestartCount}} {{.State.Running}}")).toBe("0 true");
});

test("the health check follows port and address, and fails if the engine doesn't respond", async () => {
  await start(["-p", "1717:8080", "-e", "DS_PORT=9090"], ["docker-server", "--token", TOKEN, "--port=8080", "--host=::"]);
  await ready(1717);
  expect(await becomes("healthy")).toBe(true);
  await docker("rm", "--force", "docker-server");
  await start([
    "-e",
    `DS_TOKEN=${TOKEN}`,
    "-e",
    "DOCKER_HOST=unix:///nonexistent/docker.sock",
    "--health-retries=1",
    "--health-start-period=1s",
  ]);
  expect(await becomes("unhealthy")).toBe(true);
});

test("any user with access to the socket can run the image", async () => {
  const { gid } = statSync(engine.socket);
  await start(["-p", "1717:1717", "--user", "65534", "--group-add", String(gid), "-e", `DS_TOKEN=${TOKEN}`]);
  await ready(1717);
  const { status, json } = await request("PUT", "/", { json: { image: "busybox", data: "echo by nobody" } });
  expect({ status, stdout: json.stdout }).toEqual({ status: 200, stdout: "by nobody\n" });
  expect(await docker("exec", "docker-server", "stat", "-c", "%u", "/proc/1")).toBe("65534");
  expect(await docker("exec", "docker-server", "cat", "logs/actions.jsonl")).toContain('"PUT"');
  expect(await becomes("healthy")).toBe(true);
});

test("DOCKER_HOST selects the engine by the path of its mounted socket", async () => {
  const options = ["-v", `${engine.socket}:/engine.sock`, "-e", "DOCKER_HOST=unix:///engine.sock", "-e", `DS_TOKEN=${TOKEN}`];
  await docker("run", "-d", "--name", "docker-server", "-p", "1717:1717", ...options, IMAGE);
  await ready(1717);
  expect((await request("PUT", "/", { json: { image: "busybox", data: "true" } })).json).toMatchObject({ exit_code: 0 });
  expect((await request("GET", "/")).json).toHaveLength(2);
});

test.each([
  ["a network of its own", ["-p", "1717:1717"]],
  ["the host's network", ["--network", "host"]],
])("ports published on the host's loopback are reached, also with %s", async (_network, options) => {
  await start([...options, "-e", `DS_TOKEN=${TOKEN}`]);
  await ready(1717);
  const command = ["sh", "-c", "mkdir /www; echo hello > /www/index.html; exec httpd -f -p 8080 -h /www"];
  const json = { image: "busybox", container_port: 8080, command, wait_ready: true, health_path: "/" };
  expect((await request("POST", "/containers/run", { json })).json).toMatchObject({ status: "running", host_port: expect.any(Number) });
});

test("`docker stop` answers running requests, and the program exits by itself", async () => {
  await start(["-p", "1717:1717", "-e", `DS_TOKEN=${TOKEN}`]);
  await ready(1717);
  const answer = request("PUT", "/", { json: { image: "busybox", name: "under-way", data: "sleep 1000" } });
  const isRunning = async () => (await docker("ps", "--quiet", "--filter", "name=under-way")) !== "";
  expect(await until(isRunning, WAIT_TIMEOUT_MS)).toBe(true);
  await docker("stop", "docker-server");
  expect((await answer).status).toBe(202);
  expect(await inspect("{{.State.ExitCode}}")).toBe("0");
  expect(await docker("logs", "docker-server")).toContain("stopping at SIGTERM");
  expect(await isRunning()).toBe(true);
});

test("without a token the program exits at once with an error", async () => {
  const { code, stderr } = await engine.docker(["run", "--rm", IMAGE]);
  expect(code).toBe(2);
  expect(stderr).toMatch(/^docker-server: A token is required[^\n]*\n$/);
});
