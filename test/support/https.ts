import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import type { IncomingHttpHeaders } from "node:http";
import https from "node:https";
import { tmpdir } from "node:os";
import path from "node:path";
import { text } from "node:stream/consumers";
import tls from "node:tls";
import { startDaemon } from "../../scripts/daemon";
import { runOrThrow } from "../../scripts/process";
import type { Engine } from "./engine";
import { accepts, freePorts } from "./ports";
import { PROGRAM, TOKEN } from "./server";

/** Paths of a certificate's files. */
export interface CertificateFiles {
  cert: string;
  privkey: string;
  chain: string;
}

/** The flags that make the server serve HTTPS with these files. */
export function httpsFlags({ cert, privkey, chain }: CertificateFiles): string[] {
  return ["--https", "--https_cert", cert, "--https_key", privkey, "--https_chain", chain];
}

export interface HttpsServer {
  port: number;
  running(): boolean;
  /** Its standard output and standard error. */
  output(): string;
  stop(): Promise<void>;
}

/**
 * Starts the built program over HTTPS on a free port of loopback, without burst limits.
 * @param more further flags
 */
export async function startHttpsServer(files: CertificateFiles, engine?: Engine, more: string[] = []): Promise<HttpsServer> {
  const folder = mkdtempSync(path.join(tmpdir(), "docker-server-https-"));
  const [port = 0] = await freePorts(1);
  const logFile = path.join(folder, "output.log");
  const bursts = ["--low_burst=0", "--mid_burst=0", "--high_burst=0"];
  const { PATH } = process.env;
  const daemon = await startDaemon({
    command: process.execPath,
    name: "docker-server",
    args: [PROGRAM, "--port", String(port), "--host", "127.0.0.1", "--token", TOKEN, ...bursts, ...httpsFlags(files), ...more],
    env: { PATH, HOME: folder, ...(engine ? { DOCKER_HOST: engine.dockerHost } : {}) },
    cwd: folder,
    logFile,
    ready: () => accepts(port),
  });
  return {
    port,
    running: daemon.running,
    output: () => readFileSync(logFile, "utf8"),
    async stop() {
      await daemon.end("SIGTERM", 40_000);
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** The CA that a client trusts, and the name in its SNI and verification. */
export interface Trust {
  ca: string | Buffer;
  servername: string;
  /** The server's address, if not loopback. */
  host?: string;
}

/** The fingerprint of the server's certificate on a new connection. Rejects if the certificate can't be verified. */
export function fingerprintOf(port: number, trust: Trust): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = tls.connect({ host: "127.0.0.1", port, ...trust }, () => {
      resolve(socket.getPeerCertificate().fingerprint256);
      socket.destroy();
    });
    socket.on("error", reject);
  });
}

export interface HttpsAnswer {
  status: number;
  headers: IncomingHttpHeaders;
  text: string;
  /** The connection of the request. */
  socket: tls.TLSSocket;
  /** Fingerprint of the server's certificate; a closed connection no longer has it. */
  fingerprint: string;
}

/** Sends one request with the token and verifies the certificate; over a new connection unless an agent is given. */
export async function askHttps(
  port: number,
  trust: Trust,
  method: string,
  pathname: string,
  options: { json?: object; agent?: https.Agent } = {},
): Promise<HttpsAnswer> {
  const body = options.json && JSON.stringify(options.json);
  const headers = { Authorization: `Bearer ${TOKEN}`, ...(body ? { "Content-Type": "application/json" } : {}) };
  return new Promise((resolve, reject) => {
    const target = { host: "127.0.0.1", port, method, path: pathname, headers, agent: options.agent ?? false, ...trust };
    const request = https.request(target, (response) => {
      const socket = response.socket as tls.TLSSocket;
      const { fingerprint256: fingerprint } = socket.getPeerCertificate();
      const { statusCode: status = 0, headers } = response;
      text(response).then((body) => resolve({ status, headers, text: body, socket, fingerprint }), reject);
    });
    request.on("error", reject);
    request.end(body);
  });
}

/** Creates a self-signed certificate for a name, with its key, in a folder; there is no chain. */
export async function selfSigned(folder: string, name: string): Promise<CertificateFiles> {
  const files = { cert: path.join(folder, "cert.pem"), privkey: path.join(folder, "privkey.pem"), chain: path.join(folder, "chain.pem") };
  const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", files.privkey];
  const names = ["-subj", `/CN=${name}`, "-addext", `subjectAltName=DNS:${name}`];
  await runOrThrow("openssl", ["req", "-x509", "-days", "30", ...key, ...names, "-out", files.cert]);
  return files;
}
