import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { startDaemon } from "../../scripts/daemon";
import { answers } from "../../scripts/process";
import type { Engine } from "./engine";
import { freePorts } from "./ports";
import type { TestServer } from "./server";

const EXAMPLE = path.resolve(__dirname, "../../examples/haproxy.cfg");

/** Starts haproxy in front of an engine; returns its address for DOCKER_HOST. It takes no URL over 16 kB, and upgrades no request with a body. */
export async function startEngineHaproxy(engine: Engine): Promise<{ dockerHost: string; stop(): Promise<void> }> {
  const [port] = (await freePorts(1)) as [number];
  const timeouts = "timeout connect 5s\ntimeout client 60s\ntimeout server 60s\ntimeout tunnel 60s";
  const config = `defaults\nmode http\n${timeouts}\nlisten engine\nbind 127.0.0.1:${port}\nserver engine unix@${engine.socket}\n`;
  const haproxy = await runHaproxy(config, port, "/_ping");
  return { dockerHost: `tcp://127.0.0.1:${port}`, stop: haproxy.stop };
}

/** Starts haproxy with examples/haproxy.cfg, its addresses replaced by those of three servers. */
export async function startHaproxy(servers: TestServer[]): Promise<{ url: string; stop(): Promise<void> }> {
  const [port] = (await freePorts(1)) as [number];
  const config = servers.reduce(
    (text, { url }, index) => text.replace(`10.0.0.${index + 1}:1717`, new URL(url).host),
    readFileSync(EXAMPLE, "utf8").replace("bind :8080", `bind 127.0.0.1:${port}`),
  );
  const haproxy = await runHaproxy(config, port, "/health");
  return { url: `http://127.0.0.1:${port}`, stop: haproxy.stop };
}

async function runHaproxy(config: string, port: number, readyPath: string): Promise<{ stop(): Promise<void> }> {
  const folder = mkdtempSync(path.join(tmpdir(), "docker-server-haproxy-"));
  const file = path.join(folder, "haproxy.cfg");
  writeFileSync(file, config);
  const haproxy = await startDaemon({
    command: "haproxy",
    args: ["-f", file, "-db"],
    logFile: path.join(folder, "output.log"),
    ready: () => answers({ host: "127.0.0.1", port, path: readyPath }),
  });
  return {
    async stop() {
      await haproxy.end("SIGKILL");
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
