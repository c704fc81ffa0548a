import { copyFileSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { tarGz64, untarGz64 } from "../../support/archives";
import { type Authority, makeAuthority } from "../../support/authority";
import { type Engine, startEngine } from "../../support/engine";
import { startEngineHaproxy } from "../../support/haproxy";
import { importBusybox, importRunner } from "../../support/images";
import { code, everythingOn, oneOff } from "../../support/runs";
import { startServer, type TestServer } from "../../support/server";
import { dockerOf } from "../../support/single-node";
import { becomesWarm } from "../../support/warm-pool";

const PORT = 2376;

let engine: Engine;
let authorities: Authority[];
let folder: string;
let server: TestServer;
let before: string[];
beforeAll(async () => {
  authorities = await Promise.all([makeAuthority(), makeAuthority()]);
  folder = mkdtempSync(path.join(tmpdir(), "docker-server-remote-"));
  const [authority] = authorities as [Authority, Authority];
  const { cert, privkey } = await authority.issue("localhost");
  const files = ["--tlscacert", authority.root, "--tlscert", cert, "--tlskey", privkey];
  engine = await startEngine({ name: "runs-remote", args: ["--host", `tcp://127.0.0.1:${PORT}`, "--tlsverify", ...files] });
  await importBusybox(engine);
  await importRunner(engine);
  before = await everythingOn(node);
  server = await serve(await certificatesBy(authority));
});
afterAll(async () => {
  await server?.stop();
  await engine?.stop();
  for (const authority of authorities ?? []) authority.stop();
  rmSync(folder, { recursive: true, force: true });
});

const node = {
  get engine() {
    return engine;
  },
  docker: (...args: string[]) => dockerOf(engine, args),
};
/** Docker's documented environment variables; the address has the certificate's name. */
const serve = (certificates: string) =>
  startServer({
    inside: engine.inside([]),
    host: engine.address,
    args: ["--run_memory=60000000"],
    env: { DOCKER_HOST: `tcp://localhost:${PORT}`, DOCKER_TLS_VERIFY: "1", DOCKER_CERT_PATH: certificates },
  });

/** A folder for DOCKER_CERT_PATH: the CA of the engine, and the client's certificate and key. */
async function certificatesBy(authority: Authority, root = authority.root): Promise<string> {
  const place = mkdtempSync(path.join(folder, "client-"));
  const { cert, privkey } = await authority.issue("client");
  copyFileSync(root, path.join(place, "ca.pem"));
  copyFileSync(cert, path.join(place, "cert.pem"));
  copyFileSync(privkey, path.join(place, "key.pem"));
  return place;
}

test("files and folders are exchanged with an engine over TLS, without a shared disk", async () => {
  const { json } = await oneOff(server, {
    command: ["sh", "-c", "cat /in /ro /d/f /rod/f; echo more >> /in; echo new > /d/new; rm /d/f"],
    volumes: {
      "/in": { type: "file", content: Buffer.from("1").toString("base64"), response: true },
      "/ro:ro": { type: "file", content: Buffer.from("2").toString("base64") },
      "/d": { type: "directory", content: await tarGz64({ f: "3" }), response: true },
      "/rod:ro": { type: "directory", content: await tarGz64({ f: "4" }), response: true },
    },
  });
  expect(json).toMatchObject({ status: "success", stdout: "1234", stderr: "" });
  expect(Buffer.from(json.volumes["/in"].content, "base64").toString()).toBe("1more\n");
  expect(await untarGz64(json.volumes["/d"].content)).toEqual({ new: "new\n" });
  expect(await untarGz64(json.volumes["/rod"].content)).toEqual({ f: "4" });
  expect(await everythingOn(node)).toEqual(before);
});

test("stdin is sent and closed, and exit codes are returned", async () => {
  const { json } = await oneOff(server, { command: ["sh", "-c", "wc -c; exit 3"], stdin: "x".repeat(300_000) });
  expect(json).toMatchObject({ status: "error: 3", stdout: "300000\n" });
});

test("a volume is created with content, read and removed", async () => {
  const made = await server.request("POST", "/volume", { json: { name: "remote", content: await tarGz64({ f: "kept" }) } });
  expect(made.json).toMatchObject({ status: "success" });
  const used = await oneOff(server, { command: "cat /v/f", volumes: { "/v": { type: "volume", name: "remote" } } });
  expect(used.json.stdout).toBe("kept");
  expect(await untarGz64((await server.request("GET", "/volumes/remote")).json.content)).toEqual({ f: "kept" });
  expect((await server.request("DELETE", "/volumes/remote")).status).toBe(200);
});

test("code runs there in cold and warm sandboxes", async () => {
  for (let run = 0; run < 2; run += 1) {
    expect(await code(server, `echo ${run}`)).toMatchObject({ status: 200, json: { stdout: `${run}` } });
    expect(await becomesWarm(server)).toBe(true);
  }
});

test("the docker command uses the same connection", async () => {
  const answer = await server.request("PUT", "/", { json: { image: "busybox", data: "echo over TLS", remove: true } });
  expect(answer.json).toMatchObject({ exit_code: 0, stdout: "over TLS\n" });
});

describe("behind an HTTP proxy", () => {
  let proxy: Awaited<ReturnType<typeof startEngineHaproxy>>;
  let behind: TestServer;
  beforeAll(async () => {
    proxy = await startEngineHaproxy(engine);
    behind = await startServer({ args: ["--run_memory=60000000", "--run_wait=10"], env: { DOCKER_HOST: proxy.dockerHost } });
  });
  afterAll(async () => {
    for (const removal of ["/proxied", "/volumes/proxied"]) await behind.request("DELETE", removal);
    await behind.stop();
    await proxy.stop();
  });

  test("large values stay out of the URL", async () => {
    const large = "x".repeat(30_000);
    const job = await oneOff(behind, { command: ["sh", "-c", 'cat; echo "$LARGE" | wc -c'], stdin: "in ", env_vars: { LARGE: large } });
    expect(job.json).toMatchObject({ status: "success", stdout: "in 30001\n" });
    const volume = { name: "proxied", labels: { large }, content: await tarGz64({ f: "kept" }) };
    expect((await behind.request("POST", "/volume", { json: volume })).json).toMatchObject({ status: "success" });
    const env = { LINES: `${large}\nend` };
    const made = await behind.request("PUT", "/", { json: { image: "busybox", name: "proxied", env, detach: true, data: "sleep 1000" } });
    expect(made.status).toBe(200);
    const executed = await behind.request("POST", "/proxied", { json: { data: ["sh", "-c", 'echo "$LINES" | tail -n 1'] } });
    expect(executed.json).toMatchObject({ exit_code: 0, stdout: "end\n" });
  });

  test("jobs and code get their input, and an exec that can't get its input says why", async () => {
    expect((await oneOff(behind, { command: "cat", stdin: "in" })).json).toMatchObject({ status: "success", stdout: "in" });
    expect(await code(behind, "echo code")).toMatchObject({ status: 200, json: { stdout: "code" } });
    await behind.request("PUT", "/", { json: { image: "busybox", name: "entered", detach: true, data: "sleep 1000" } });
    const withInput = await behind.request("POST", "/entered", { json: { data: "cat", interactive: true, stdin: "in" } });
    expect(withInput.json).toMatchObject({ code: "ENGINE_ERROR", message: expect.stringContaining("Upgrade") });
    await behind.request("DELETE", "/entered");
  });
});

test("an engine or client without a trusted certificate is refused", async () => {
  const [right, wrong] = authorities as [Authority, Authority];
  for (const certificates of [await certificatesBy(right, wrong.root), await certificatesBy(wrong, right.root)]) {
    const stranger = await serve(certificates);
    expect((await stranger.request("GET", "/health")).status).toBe(503);
    for (const answer of [await oneOff(stranger, { command: "true" }), await code(stranger, "true")]) {
      expect(answer.json).toMatchObject({ status: 503, code: "ENGINE_UNREACHABLE", message: expect.stringContaining("TLS") });
    }
    await stranger.stop();
  }
});
