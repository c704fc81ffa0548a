import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { type Daemon, startDaemon } from "../../scripts/daemon";
import { answers } from "../../scripts/process";
import type { Engine } from "./engine";
import { freePorts } from "./ports";
import { ask, type TestServer } from "./server";

const PROGRAM = path.resolve(__dirname, "../../dist/bin/docker-server.js");

/**
 * Starts the built program with only these flags, port and host, unlike `startServer`, which disables the burst limits and
 * sets a token. A `request` has a token only if its headers contain one.
 * @param on simulated host to run it on; this machine if absent
 */
export async function startLimited(engine: Engine, args: string[], on?: Pick<Engine, "address" | "inside">): Promise<TestServer> {
  const host = on?.address ?? "127.0.0.1";
  const [command = "", ...prefixArgs] = [...(on?.inside([]) ?? []), process.execPath];
  const folder = mkdtempSync(path.join(tmpdir(), "docker-server-limited-"));
  const [port = 0] = await freePorts(1);
  const logFile = path.join(folder, "output.log");
  const started: Daemon = await startDaemon({
    command,
    name: "docker-server",
    args: [...prefixArgs, PROGRAM, "--port", String(port), "--host", host, ...args],
    env: { PATH: process.env.PATH, HOME: folder, DOCKER_HOST: engine.dockerHost },
    cwd: folder,
    logFile,
    ready: () => answers({ host, port, path: "/health" }),
  });
  const url = `http://${host}:${port}`;
  return {
    url,
    port,
    folder,
    process: started,
    request: (method, pathname, options) => ask(url, method, pathname, { anonymous: true, ...options }),
    output: () => readFileSync(logFile, "utf8"),
    async stop(signal = "SIGTERM") {
      await started.end(signal, 40_000);
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
