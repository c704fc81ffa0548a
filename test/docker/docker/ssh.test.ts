import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import http from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { Server, utils } from "ssh2";
import { until } from "../../../scripts/process";
import { uniqueName } from "../../support/cluster-containers";
import { type Engine, leaseEngine } from "../../support/engine";
import { importBusybox } from "../../support/images";
import { startServer, type TestServer, TOKEN } from "../../support/server";
import { dockerOf } from "../../support/single-node";

let engine: Engine;
let server: TestServer;
/** Has the program `ssh` that the server and its docker CLI find first. */
const folder = mkdtempSync(path.join(tmpdir(), "docker-server-ssh-"));
/** How the SSH server treats its clients. */
let treatment: "serve" | "refuse commands" | "hang up" = "serve";
const commands: string[] = [];
const clients = new Set<{ end(): void }>();

const { private: hostKey, public: knownKey } = utils.generateKeyPairSync("ed25519");

/** An SSH server on this machine that runs the commands it is asked for beside the engine. */
const sshServer = new Server({ hostKeys: [hostKey] }, (client) => {
  clients.add(client);
  client.on("close", () => clients.delete(client));
  // Of clients that end while they connect.
  client.on("error", () => undefined);
  client.on("authentication", (attempt) => (treatment === "hang up" ? client.end() : attempt.accept()));
  client.on("session", (accept) =>
    accept().on("exec", (run, refuse, { command }) => {
      if (treatment === "refuse commands") return void refuse();
      commands.push(command);
      const channel = run();
      const child = spawn("sh", ["-c", command], { env: { PATH: process.env.PATH, DOCKER_HOST: engine.dockerHost } });
      child.stdin.on("error", () => undefined);
      channel.on("error", () => undefined).pipe(child.stdin);
      child.stdout.on("data", (bytes) => channel.write(bytes));
      child.on("close", (code) => {
        channel.exit(code ?? 1);
        channel.end();
      });
      channel.on("close", () => child.kill());
    }),
  );
});

beforeAll(async () => {
  engine = await leaseEngine({ name: "ssh" });
  await importBusybox(engine);
  await once(sshServer.listen(0, "127.0.0.1"), "listening");
  const { port } = sshServer.address() as AddressInfo;
  writeFileSync(path.join(folder, "known"), `[127.0.0.1]:${port} ${knownKey}\n`);
  const options = `-F /dev/null -o UserKnownHostsFile=${folder}/known -o StrictHostKeyChecking=yes`;
  writeFileSync(path.join(folder, "ssh"), `#!/bin/sh\nexec /usr/bin/ssh ${options} "$@"\n`, { mode: 0o755 });
  const env = { PATH: `${folder}:${process.env.PATH}` };
  server = await startServer({ engine, args: [`--docker_host=ssh://root@127.0.0.1:${port}`], env });
});
afterAll(async () => {
  await server?.stop();
  sshServer.close();
  await engine?.stop();
  rmSync(folder, { recursive: true, force: true });
});

const isListed = async () => (await server.request("GET", "/")).status === 200;

test("an engine is used over SSH: a container is made, listed, and removed, and a job reads its standard input", async () => {
  const name = uniqueName("remote");
  const made = await server.request("PUT", "/", {
    json: { image: "busybox", name, detach: true, command: ["sh", "-c", "echo ready; sleep 1000"] },
  });
  expect([made.status, made.json.name]).toEqual([200, name]);
  expect((await server.request("GET", "/")).json.map((container: { name: string }) => container.name)).toContain(name);
  const run = { image: "busybox", command: ["tr", "a-z", "A-Z"], stdin: "over ssh", pull_policy: "never" };
  expect((await server.request("POST", "/run", { json: run })).json).toMatchObject({ exit_code: 0, stdout: "OVER SSH" });
  expect((await server.request("GET", `/containers/${name}/logs`)).text).toContain("ready");
  expect((await server.request("DELETE", `/${name}`)).status).toBe(200);
  expect(new Set(commands)).toEqual(new Set(["docker system dial-stdio"]));
});

test("requests one after the other share a connection", async () => {
  const name = uniqueName("asked");
  await dockerOf(engine, ["run", "-d", "--name", name, "busybox", "sleep", "1000"]);
  const connectionsBefore = commands.length;
  for (let asked = 0; asked < 20; asked++) expect((await server.request("GET", `/containers/${name}`)).status).toBe(200);
  expect(commands.length - connectionsBefore).toBeLessThan(5);
});

test("a client that leaves a stream unread leaves no SSH connection behind", async () => {
  const name = uniqueName("noisy");
  await dockerOf(engine, ["run", "-d", "--name", name, "busybox", "sh", "-c", "while true; do echo line; done"]);
  const connectionsBefore = clients.size;
  const following = http.get(`${server.url}/containers/${name}/logs?follow=true`, { headers: { Authorization: `Bearer ${TOKEN}` } });
  following.on("error", () => undefined);
  const [stream] = (await once(following, "response")) as [http.IncomingMessage];
  await once(stream, "readable");
  expect(clients.size).toBeGreaterThan(0);
  stream.destroy();
  await dockerOf(engine, ["rm", "--force", name]);
  // One is that of the events, which the server follows.
  expect(await until(() => clients.size <= connectionsBefore, 20_000)).toBe(true);
});

test.each(["refuse commands", "hang up"] as const)(
  "an SSH server that is to %s is an engine that doesn't answer, until it serves again",
  async (kind) => {
    treatment = kind;
    for (const client of clients) client.end();
    expect(await until(async () => !(await isListed()), 20_000)).toBe(true);
    expect((await server.request("GET", "/")).json).toMatchObject({ status: 503, code: "ENGINE_UNREACHABLE" });
    treatment = "serve";
    expect(await until(isListed, 20_000)).toBe(true);
  },
);
