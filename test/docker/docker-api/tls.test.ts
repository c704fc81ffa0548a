import { mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { runOrThrow } from "../../../scripts/process";
import { configWithHeaders, dockerAt } from "../../support/docker-commands";
import { type Engine, leaseEngine } from "../../support/engine";
import { type HttpsServer, selfSigned, startHttpsServer } from "../../support/https";
import { importBusybox } from "../../support/images";
import { freePorts } from "../../support/ports";
import { TOKEN } from "../../support/server";

let folder: string;
let engine: Engine;
let server: HttpsServer;
let listenerPort: number;

beforeAll(async () => {
  folder = mkdtempSync(path.join(tmpdir(), "docker-server-docker-tls-"));
  engine = await leaseEngine({ name: "docker-tls" });
  await importBusybox(engine);
  await engine.docker(["run", "--detach", "--name", "box", "busybox", "sleep", "100000"]);
  await makeClientCertificate();
  [listenerPort = 0] = await freePorts(1);
  const listener = ["--docker_listen", `tcp://127.0.0.1:${listenerPort}`, "--docker_tls_ca", `${client()}/ca.pem`];
  server = await startHttpsServer(await selfSigned(folder, "localhost"), engine, listener);
});
afterAll(async () => {
  await server?.stop();
  await engine?.stop();
  rmSync(folder, { recursive: true, force: true });
});

/** Runs the lines of docs/docker-api.md that make an authority and a client's certificate, in their folder. */
async function makeClientCertificate(): Promise<void> {
  const lines = /```\n(openssl [^`]*)```/.exec(readFileSync("docs/docker-api.md", "utf8"))?.[1];
  if (lines === undefined) throw new Error("docs/docker-api.md has no lines of openssl");
  mkdirSync(client());
  await runOrThrow("sh", ["-e", "-c", `cd "$1"; ${lines}`, "sh", client()]);
}

const client = () => path.join(folder, "client");

// The CLI ends its own half of such a connection at the end of its input.
describe.each(["the listener with certificates", "the main port with HTTPS"])("through %s", (place) => {
  function docker(args: string, input?: string) {
    const verify = `docker --tlsverify --tlscacert ${folder}/cert.pem`;
    const command = { args, ...(input === undefined ? {} : { input }) };
    if (place === "the main port with HTTPS")
      return dockerAt(`tcp://localhost:${server.port}`, command, "", {
        cli: `${verify} --tlscert= --tlskey=`,
        config: configWithHeaders({ "X-Access-Token": TOKEN }),
      });
    return dockerAt(`tcp://localhost:${listenerPort}`, command, "", {
      cli: `${verify} --tlscert ${client()}/cert.pem --tlskey ${client()}/key.pem`,
    });
  }

  test.each([
    ["run --rm busybox echo out", undefined, { stdout: "out\n", code: 0 }],
    ["run --rm --interactive busybox sh -c 'cat; echo end'", "in ", { stdout: "in end\n", code: 0 }],
    ["exec box sh -c 'sleep 1; echo out; exit 4'", undefined, { stdout: "out\n", code: 4 }],
    ["exec --interactive box wc -c", "x".repeat(300_000), { stdout: "300000\n", code: 0 }],
  ])("docker %s has its output and exit code", async (args, input, expected) => {
    expect(await docker(args, input)).toMatchObject({ stderr: "", ...expected });
  });
});
