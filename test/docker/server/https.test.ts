import { spawn } from "node:child_process";
import { chmodSync, chownSync, copyFileSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import https from "node:https";
import { tmpdir } from "node:os";
import path from "node:path";
import { text } from "node:stream/consumers";
import { until } from "../../../scripts/process";
import { type Acme, type Certificate, startAcme } from "../../support/acme";
import { type Engine, leaseEngine } from "../../support/engine";
import {
  askHttps,
  type CertificateFiles,
  fingerprintOf,
  type HttpsServer,
  httpsFlags,
  selfSigned,
  startHttpsServer,
  type Trust,
} from "../../support/https";
import { importBusybox } from "../../support/images";
import { accepts, freePorts } from "../../support/ports";
import { PROGRAM, TOKEN } from "../../support/server";
import { dockerOf } from "../../support/single-node";

const NAME = "node.example.org";
const WAIT_TIMEOUT_MS = 20_000;

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(path.join(tmpdir(), "docker-server-certificates-"));
  // An unprivileged user must be able to enter the folder.
  chmodSync(folder, 0o755);
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

async function makeFiles(name: string): Promise<CertificateFiles> {
  const certificateFolder = path.join(folder, name);
  mkdirSync(certificateFolder, { mode: 0o755 });
  return selfSigned(certificateFolder, NAME);
}

const trustIn = (files: CertificateFiles): Trust => ({ ca: readFileSync(files.cert), servername: NAME });
const overwrite = (file: string, source: string) => writeFileSync(file, readFileSync(source));

describe("with a certificate of a certificate authority", () => {
  let acme: Acme;
  let engine: Engine;
  let server: HttpsServer;
  let certificate: Certificate;
  let dir: string;
  let trust: Trust;

  beforeAll(async () => {
    acme = await startAcme();
    engine = await leaseEngine({ name: "https" });
    await importBusybox(engine);
    dir = path.join(acme.folder, "letsencrypt");
    certificate = await acme.issue(NAME, dir);
    trust = { ca: readFileSync(certificate.root), servername: NAME };
    server = await startHttpsServer(certificate, engine);
  });
  test("the proxy port uses the same certificate, and its cookies are Secure", async () => {
    const files = await makeFiles("proxy-port");
    const [port = 0] = await freePorts(1);
    await dockerOf(engine, ["run", "-d", "--name", "web", "-p", `${engine.address}::80`, "busybox", "httpd", "-f"]);
    const proxying = await startHttpsServer(files, engine, [`--proxy_port=${port}`]);
    try {
      const { headers } = await askHttps(port, trustIn(files), "GET", "/proxy/web/");
      expect(headers["set-cookie"]).toEqual([expect.stringMatching(/; Path=\/proxy\/web\/; .*; Secure$/)]);
    } finally {
      await proxying.stop();
    }
  });

  afterAll(async () => {
    await server?.stop();
    await engine?.stop();
    await acme?.stop();
  });

  test("the chain is served, so that a client verifies it with the root alone", async () => {
    const { status, socket } = await askHttps(server.port, trust, "GET", "/health");
    expect(status).toBe(200);
    expect(socket.authorized).toBe(true);
    await expect(fingerprintOf(server.port, { ...trust, servername: "other.example.org" })).rejects.toThrow("altnames");
  });

  test("a renewed certificate is used for new connections, and no running request fails", async () => {
    await dockerOf(engine, ["run", "--detach", "--name", "waits", "busybox", "sleep", "1000"]);
    const agent = new https.Agent({ keepAlive: true, maxSockets: 1 });
    const first = await askHttps(server.port, trust, "GET", "/version", { agent });
    const oldFingerprint = await fingerprintOf(server.port, trust);
    const data = ["sh", "-c", "touch /tmp/started; until [ -e /tmp/go ]; do sleep 0.1; done; echo went on"];
    const runningRequest = askHttps(server.port, trust, "POST", "/waits", { json: { data } });
    await until(async () => (await engine.docker(["exec", "waits", "test", "-e", "/tmp/started"])).code === 0, WAIT_TIMEOUT_MS);

    let renewed = false;
    const statuses: number[] = [];
    const load = (async () => {
      while (!renewed) statuses.push((await askHttps(server.port, trust, "GET", "/health")).status);
    })();
    await acme.renew(dir);
    const newCertificateServed = await until(async () => (await fingerprintOf(server.port, trust)) !== oldFingerprint, WAIT_TIMEOUT_MS);
    renewed = true;
    await load;
    expect(newCertificateServed).toBe(true);
    expect(new Set(statuses)).toEqual(new Set([200]));

    const second = await askHttps(server.port, trust, "GET", "/version", { agent });
    expect(second.socket).toBe(first.socket);
    expect(second.status).toBe(200);
    await dockerOf(engine, ["exec", "waits", "touch", "/tmp/go"]);
    const answer = await runningRequest;
    expect(answer.status).toBe(200);
    expect(JSON.parse(answer.text)).toMatchObject({ exit_code: 0, stdout: "went on\n" });
    expect(answer.fingerprint).toBe(oldFingerprint);
    expect(server.running()).toBe(true);
    agent.destroy();
  });
});

describe("with self-made certificate files", () => {
  test("the chain is optional, and an incomplete renewal keeps the old certificate and is logged", async () => {
    const files = await makeFiles("in-place");
    const renewal = await makeFiles("renewal");
    const before = trustIn(files);
    const after = trustIn(renewal);
    const server = await startHttpsServer(files);
    try {
      const oldFingerprint = await fingerprintOf(server.port, before);
      overwrite(files.cert, renewal.cert);
      expect(await until(() => server.output().includes("stays in use"), WAIT_TIMEOUT_MS)).toBe(true);
      expect(server.output()).toMatch(/WARN .*stays in use.*key values mismatch/);
      expect(await fingerprintOf(server.port, before)).toBe(oldFingerprint);
      overwrite(files.privkey, renewal.privkey);
      expect(await until(() => server.output().includes("renewed and is in use"), WAIT_TIMEOUT_MS)).toBe(true);
      expect(await fingerprintOf(server.port, after)).not.toBe(oldFingerprint);
    } finally {
      await server.stop();
    }
  });

  test("files that are replaced by renaming are used, also repeatedly", async () => {
    const files = await makeFiles("renamed");
    const server = await startHttpsServer(files);
    try {
      for (const name of ["renamed-1", "renamed-2"]) {
        const renewal = await makeFiles(name);
        const trust = trustIn(renewal);
        renameSync(renewal.privkey, files.privkey);
        renameSync(renewal.cert, files.cert);
        const served = () => fingerprintOf(server.port, trust).then(Boolean, () => false);
        expect(await until(served, WAIT_TIMEOUT_MS)).toBe(true);
      }
    } finally {
      await server.stop();
    }
  });

  test("a removed file leaves the certificate in use", async () => {
    const files = await makeFiles("vanishes");
    const trust = trustIn(files);
    const server = await startHttpsServer(files);
    try {
      rmSync(files.privkey);
      expect(await until(() => server.output().includes("stays in use"), WAIT_TIMEOUT_MS)).toBe(true);
      expect(await fingerprintOf(server.port, trust)).toBeTruthy();
    } finally {
      await server.stop();
    }
  });
});

describe("unusable files end the start with one line and no listening port", () => {
  const absent = (name: string) => path.join(folder, "absent", name);
  const NOBODY = 65534;

  test.each<[string, (files: CertificateFiles) => Promise<CertificateFiles> | CertificateFiles, RegExp]>([
    ["no certificate", (files) => ({ ...files, cert: absent("cert.pem") }), /absent\/cert\.pem can't be read \(ENOENT\)/],
    ["no key", (files) => ({ ...files, privkey: absent("privkey.pem") }), /absent\/privkey\.pem can't be read \(ENOENT\)/],
    [
      "a key that its user may not read",
      (files) => {
        chownSync(files.privkey, 0, 0);
        chmodSync(files.privkey, 0o600);
        return files;
      },
      /privkey\.pem can't be read \(EACCES\)/,
    ],
    [
      "another certificate's key",
      async (files) => {
        copyFileSync((await makeFiles(`other-${path.basename(path.dirname(files.cert))}`)).privkey, files.privkey);
        chmodSync(files.privkey, 0o644);
        return files;
      },
      /cert\.pem, .*privkey\.pem: .*key values mismatch/,
    ],
    [
      "no PEM",
      (files) => {
        writeFileSync(files.cert, "not a certificate\n");
        return files;
      },
      /cert\.pem, .*privkey\.pem: /,
    ],
    ["a chain that is a folder", (files) => ({ ...files, chain: path.dirname(files.cert) }), /can't be read \(EISDIR\)/],
  ])("%s", async (name, spoil, reason) => {
    const files = await makeFiles(name.replaceAll(" ", "-"));
    chmodSync(files.privkey, 0o644);
    const [port = 0] = await freePorts(1);
    const work = mkdtempSync(path.join(tmpdir(), "docker-server-nobody-"));
    chownSync(work, NOBODY, NOBODY);
    const args = [PROGRAM, "--port", String(port), "--host", "127.0.0.1", "--token", TOKEN, ...httpsFlags(await spoil(files))];
    const child = spawn(process.execPath, args, { cwd: work, uid: NOBODY, gid: NOBODY, env: { PATH: process.env.PATH, HOME: work } });
    const stderr = text(child.stderr);
    let listened = false;
    const ended = await until(async () => {
      listened ||= await accepts(port);
      return child.exitCode !== null;
    }, WAIT_TIMEOUT_MS);
    child.kill("SIGKILL");
    rmSync(work, { recursive: true, force: true });
    expect({ ended, code: child.exitCode, listened }).toEqual({ ended: true, code: 1, listened: false });
    expect(await stderr).toMatch(reason);
    expect(await stderr).toMatch(/^docker-server: [^\n]*\n$/);
  });
});
