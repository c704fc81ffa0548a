import { spawn } from "node:child_process";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { Server, utils } from "ssh2";
import { until } from "../../../scripts/process";
import { uniqueName } from "../../support/cluster-containers";
import { type Engine, leaseEngine } from "../../support/engine";
import { importBusybox } from "../../support/images";
import { startServer, type TestServer } from "../../support/server";
import { dockerOf } from "../../support/single-node";

let engine: Engine;
let server: TestServer;
/** whether the SSH server runs commands */
let runsCommands = true;
const commands: string[] = [];

/** An SSH server on this machine that runs the commands it is asked for beside the engine. */
const sshServer = new Server({ hostKeys: [utils.generateKeyPairSync("ed25519").private] }, (client) => {
  client.on("authentication", (attempt) => attempt.accept());
  // Of clients that end while they connect.
  client.on("error", () => undefined);
  client.on("session", (accept) =>
    accept().on("exec", (run, refuse, { command }) => {
      if (!runsCommands) return void refuse();
      commands.push(command);
      const channel = run();
      const child = spawn("sh", ["-c", command], { env: { PATH: process.env.PATH, DOCKER_HOST: engine.dockerHost } });
      child.stdin.on("error", () => undefined);
      channel.pipe(child.stdin);
      child.stdout.pipe(channel);
      channel.on("close", () => child.kill());
    }),
  );
});

beforeAll(async () => {
  engine = await leaseEngine({ name: "ssh" });
  await importBusybox(engine);
  await once(sshServer.listen(0, "127.0.0.1"), "listening");
  const { port } = sshServer.address() as AddressInfo;
  server = await startServer({ engine, args: [`--docker_host=ssh://root@127.0.0.1:${port}`] });
});
afterAll(async () => {
  await server?.stop();
  sshServer.close();
  await engine?.stop();
});

test("an engine is used over SSH: a container is listed, runs a command that reads its standard input, and is removed", async () => {
  const name = uniqueName("remote");
  await dockerOf(engine, ["run", "-d", "--name", name, "busybox", "sh", "-c", "echo ready; exec sleep 1000"]);
  expect((await server.request("GET", "/")).json.map((container: { name: string }) => container.name)).toContain(name);
  const run = { image: "busybox", command: ["tr", "a-z", "A-Z"], stdin: "over ssh", pull_policy: "never" };
  expect((await server.request("POST", "/run", { json: run })).json).toMatchObject({ exit_code: 0, stdout: "OVER SSH" });
  expect((await server.request("GET", `/containers/${name}/logs`)).text).toContain("ready");
  expect((await server.request("DELETE", `/${name}`)).status).toBe(200);
  expect(new Set(commands)).toEqual(new Set(["docker system dial-stdio"]));
});

test("an SSH server that refuses the command is an engine that can't be reached, until it runs it again", async () => {
  runsCommands = false;
  await until(async () => (await server.request("GET", "/")).status !== 200, 20_000);
  expect((await server.request("GET", "/")).json).toMatchObject({
    code: "ENGINE_UNREACHABLE",
    message: "The Docker engine can't be reached over SSH: Unable to exec",
  });
  runsCommands = true;
  expect(await until(async () => (await server.request("GET", "/")).status === 200, 20_000)).toBe(true);
});
