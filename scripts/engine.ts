import { mkdtempSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { startDockerd } from "./daemon";
import { run } from "./process";

/** The default socket of a Docker engine. */
const SOCKET = "/var/run/docker.sock";

/** An engine that can be used. `started` says whether this process started it; only then does `stop()` end it. */
export interface UsableEngine {
  started: boolean;
  stop(): Promise<void>;
}

/**
 * Uses the engine that answers the docker CLI (DOCKER_HOST, context or default socket); if none answers, starts
 * dockerd on the default socket with its default folders. `stop()` then stops it and its containers (within 30 s).
 * Throws an Error if no engine answers and none can be started: DOCKER_HOST is set, not Linux, not root, or
 * dockerd fails (with its last log lines).
 */
export async function ensureEngine(): Promise<UsableEngine> {
  const version = await run("docker", ["version", "--format", "{{.Server.Version}}"]);
  if (version.code === 0) return { started: false, stop: async () => {} };
  const reason = version.stderr.trim();
  if (process.env.DOCKER_HOST) throw new Error(`no Docker engine at DOCKER_HOST=${process.env.DOCKER_HOST}: ${reason}`);
  if (process.platform !== "linux" || process.getuid?.() !== 0) {
    throw new Error(`no Docker engine answers, and only root on Linux can start one here: ${reason}`);
  }
  const folder = mkdtempSync(path.join(os.tmpdir(), "docker-server-engine-"));
  const removeFolder = () => rmSync(folder, { recursive: true, force: true });
  try {
    const dockerd = await startDockerd({ socket: SOCKET, args: [], logFile: path.join(folder, "dockerd.log") });
    return {
      started: true,
      stop: async () => {
        await dockerd.end("SIGTERM", 30_000);
        removeFolder();
      },
    };
  } catch (error) {
    removeFolder();
    throw error;
  }
}
