import { mkdirSync } from "node:fs";
import path from "node:path";
import { startDaemon } from "../../../scripts/daemon";
import { answers } from "../../../scripts/process";
import { untarGz64 } from "../../support/archives";
import { importBusybox, importRunner } from "../../support/images";
import { callTool, connectMcp } from "../../support/mcp";
import { freePorts } from "../../support/ports";
import { everythingOn } from "../../support/runs";
import { PROGRAM, TOKEN } from "../../support/server";
import { curl, type OneNode, startNode } from "../../support/single-node";

let node: OneNode;
let before: string[];
beforeAll(async () => {
  node = await startNode({ name: "runs-doc" });
  await importBusybox(node.engine, "alpine:latest");
  before = await everythingOn(node);
});
afterAll(() => node?.stop());
afterEach(async () => expect(await everythingOn(node)).toEqual(before));

const post = (path: string, body: object) =>
  curl(
    ...["-X", "POST", `${node.server.url}${path}`, "-H", "accept: application/json", "-H", "Content-Type: application/json"],
    ...["-H", `Authorization: Bearer ${TOKEN}`, "-d", JSON.stringify(body)],
  );

test("example: a script file writes to a folder, which is returned", async () => {
  const { status, json } = await post("/run", {
    image: "alpine:latest",
    command: ["/test.sh"],
    volumes: {
      "/app/data": {
        content:
          "H4sIAGq4eGYAA0tJLEnUZ6AtMDAwMDc1VQDTZhDawMgEQkOBgqGJmbGZobGJobGBgoGhkaGBGYOCKY3dBQalxSWJRUCnlJTmpuFTB1SWhk8B1B9wehSMglEwCgY5AADBaWLyAAYAAA==",
        response: true,
        type: "directory",
      },
      "/test.sh:ro": {
        mode: "0755",
        content: "IyEvYmluL2FzaAoKZWNobyAiSGVsbG8sIFdvcmxkISIgPiAvYXBwL2RhdGEvdGVzdC50eHQ=",
        type: "file",
      },
    },
  });
  expect(status).toBe(200);
  expect(json).toMatchObject({ status: "success", stdout: "", stderr: "", exit_code: 0, execution_time: expect.any(Number) });
  expect(Object.keys(json.volumes)).toEqual(["/app/data"]);
  expect(json.volumes["/app/data"].type).toBe("directory");
  // The archive's folder and the script's output, and no file of this server.
  expect(await untarGz64(json.volumes["/app/data"].content)).toEqual({ "data/": "", "test.txt": "Hello, World!\n" });
});

test("example with a login: an unreachable registry runs the local image with a warning", async () => {
  const { status, json } = await post("/run", {
    image: "alpine:latest",
    command: ["echo", "Hello, World!"],
    env_vars: { MY_VAR: "value" },
    auth_config: {
      username: "your-username",
      password: "your-password",
      email: "your-email@example.com",
      serveraddress: "https://index.docker.io/v1/",
    },
  });
  expect(status).toBe(200);
  expect(json).toMatchObject({ status: "success", stdout: "Hello, World!\n", stderr: "", volumes: {} });
  expect(json.warnings).toEqual([expect.stringContaining("registry can't be reached")]);
});

test("example: a volume is created with content", async () => {
  const answer = await post("/volume", {
    name: "my-volume",
    content:
      "H4sIAIQOfmYAA+2TMQ7DIAxFcxRO0Biw4TxIabYsjSPl+HUhStWFjdCqfgxeLPHh6U+J0zi0BQAikckzlAkOyzwwFoOPCBEoGLBOzmCoca7MtnJ6SBTelrm2J2tzbeF4xzl/hOnln+8r2xvv3OYO+Y+AWPNPb/8RxL+PVvxDmzif/Ln/rL53CKUbZ//dt/Tfl/6T9v8KsvreIRRFUZTLeQL28PKYAA4AAA==",
  });
  expect([answer.status, answer.json]).toEqual([200, { status: "success", detail: "success" }]);
  const read = await node.request("GET", "/volumes/my-volume");
  expect(Object.keys(await untarGz64(read.json.content)).sort()).toEqual(["data/", "data/test1.txt", "data/test2.txt"]);
  expect((await node.request("DELETE", "/volumes/my-volume")).json).toMatchObject({ removed: true });
});

test("pull_policy never uses the local image, and is 404 without one", async () => {
  expect((await post("/run", { image: "alpine:latest", command: "echo x", pull_policy: "never" })).json).toMatchObject({ stdout: "x\n" });
  const missing = await post("/run", { image: "nowhere:1", command: "echo x", pull_policy: "never" });
  expect(missing.json).toMatchObject({ status: 404, code: "IMAGE_NOT_FOUND" });
});

test("command and entrypoint are lists or strings, and variables are set", async () => {
  const never = { image: "alpine:latest", pull_policy: "never" };
  const { json } = await post("/run", {
    ...never,
    entrypoint: "sh -c",
    command: ['echo "$A $0"', "b"],
    env_vars: { A: "va lue\nx", N: 1 },
  });
  expect(json.stdout).toBe("va lue\nx b\n");
  expect((await post("/run", { ...never, entrypoint: ["echo"], command: "one 'two  words'" })).json.stdout).toBe("one two  words\n");
  expect((await post("/run", { ...never, command: ["cat"], stdin: "read\n", env_vars: null, auth_config: null })).json.stdout).toBe(
    "read\n",
  );
});

test("example: the same run over MCP, and the health route", async () => {
  const client = await connectMcp(node.server.url, "SSE");
  try {
    const ran = await callTool(client, "run", {
      image: "alpine:latest",
      command: ["echo", "Hello from MCP!"],
      env_vars: { TEST: "value" },
    });
    expect(ran).toMatchObject({ isError: false, json: { status: "success", stdout: "Hello from MCP!\n", stderr: "" } });
    expect(await callTool(client, "health", {})).toMatchObject({ isError: false, json: { status: "ok" } });
  } finally {
    await client.close();
  }
});

test("the environment variables of code runs configure the three actions and the limits", async () => {
  await importRunner(node.engine, "glot/shell:latest");
  const [port = 0] = await freePorts(1);
  const folder = path.join(node.engine.folder, "documented");
  mkdirSync(folder);
  const env = {
    PATH: process.env.PATH,
    HOME: folder,
    SERVER_LISTEN_ADDR: "127.0.0.1",
    SERVER_LISTEN_PORT: String(port),
    SERVER_WORKER_THREADS: "10",
    API_ACCESS_TOKEN: "some-secret",
    DOCKER_UNIX_SOCKET_PATH: node.engine.socket,
    DOCKER_UNIX_SOCKET_READ_TIMEOUT: "3",
    DOCKER_UNIX_SOCKET_WRITE_TIMEOUT: "3",
    DOCKER_CONTAINER_HOSTNAME: "glot",
    DOCKER_CONTAINER_USER: "nobody",
    DOCKER_CONTAINER_MEMORY: "50000000",
    DOCKER_CONTAINER_NETWORK_DISABLED: "true",
    DOCKER_CONTAINER_ULIMIT_NOFILE_SOFT: "91",
    DOCKER_CONTAINER_ULIMIT_NOFILE_HARD: "101",
    DOCKER_CONTAINER_ULIMIT_NPROC_SOFT: "92",
    DOCKER_CONTAINER_ULIMIT_NPROC_HARD: "102",
    DOCKER_CONTAINER_CAP_DROP: "MKNOD NET_RAW NET_BIND_SERVICE",
    RUN_MAX_EXECUTION_TIME: "15",
    RUN_MAX_OUTPUT_SIZE: "100000",
  };
  const logFile = path.join(folder, "output.log");
  const ready = () => answers({ host: "127.0.0.1", port, path: "/health" });
  const server = await startDaemon({ command: process.execPath, args: [PROGRAM], name: "docker-server", env, cwd: folder, logFile, ready });
  try {
    const url = `http://127.0.0.1:${port}`;
    const token = ["-H", "X-Access-Token: some-secret"];
    expect((await curl(url)).json).toMatchObject({ name: "docker-server", version: expect.any(String) });
    expect((await curl(`${url}/version`)).status).toBe(401);
    expect((await curl(`${url}/version`, ...token)).status).toBe(200);
    const script = "hostname; id -un; ulimit -n; ulimit -Hn; ls /sys/class/net; echo err >&2";
    const body = JSON.stringify({ image: "glot/shell:latest", payload: { script: Buffer.from(script).toString("base64") } });
    const run = ["--request", "POST", "--header", "Content-type: application/json", "--data", body, `${url}/run`];
    expect((await curl(...run)).status).toBe(401);
    const { status, json } = await curl(...token, ...run);
    expect([status, json]).toEqual([200, { stdout: "glot\nnobody\n91\n101\nlo", stderr: "err", error: "" }]);
  } finally {
    await server.end("SIGTERM", 40_000);
    await node.docker("rmi", "glot/shell:latest");
  }
});
