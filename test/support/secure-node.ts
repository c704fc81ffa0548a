import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import net from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { startDaemon } from "../../scripts/daemon";
import type { Engine } from "./engine";
import { askHttps, type CertificateFiles, httpsFlags, type Trust } from "./https";
import { PROGRAM, TOKEN } from "./server";

/** A node that serves HTTPS at the address of its host. */
export interface SecureNode {
  name: string;
  /** Sends one request with the token and verifies the certificate; its status and JSON. */
  // biome-ignore lint/suspicious/noExplicitAny: tests look into answers of many shapes
  request(method: string, pathname: string, json?: object): Promise<{ status: number; json: any }>;
  output(): string;
  stop(): Promise<void>;
}

const PORT = 1717;

/**
 * Starts a node of a cluster over HTTPS.
 * @param options.folder of the store
 * @param options.files its certificate
 * @param options.trust how clients verify it
 * @param options.args further flags
 * @param options.env further environment variables
 */
export async function startSecureNode(
  engine: Engine,
  options: { folder: string; files: CertificateFiles; trust: Trust; args?: string[]; env?: NodeJS.ProcessEnv },
): Promise<SecureNode> {
  const work = mkdtempSync(path.join(tmpdir(), "docker-server-secure-"));
  const { name, address } = engine;
  const [command = "", ...prefixArgs] = engine.inside([process.execPath, PROGRAM]);
  const flags = [
    ...["--port", String(PORT), "--host", address, "--token", TOKEN, "--low_burst=0", "--mid_burst=0", "--high_burst=0"],
    ...["--cluster", "--node_name", name, "--folder", options.folder, "--refresh_rate=1000", "--cache_interval=300"],
  ];
  const logFile = path.join(work, "output.log");
  const daemon = await startDaemon({
    command,
    name: "docker-server",
    args: [...prefixArgs, ...flags, ...httpsFlags(options.files), ...(options.args ?? [])],
    env: { PATH: process.env.PATH, HOME: work, DOCKER_HOST: engine.dockerHost, ...options.env },
    cwd: work,
    logFile,
    ready: () => acceptsAt(address),
  });
  return {
    name,
    async request(method, pathname, json) {
      const trust = { ...options.trust, host: address };
      const { status, text } = await askHttps(PORT, trust, method, pathname, json === undefined ? {} : { json });
      return { status, json: JSON.parse(text) };
    },
    output: () => readFileSync(logFile, "utf8"),
    async stop() {
      await daemon.end("SIGKILL");
      rmSync(work, { recursive: true, force: true });
    },
  };
}

function acceptsAt(host: string): Promise<boolean> {
  return new Promise((resolve) => {
    const connection = net.connect(PORT, host);
    connection.on("connect", () => {
      connection.destroy();
      resolve(true);
    });
    connection.on("error", () => resolve(false));
  });
}
