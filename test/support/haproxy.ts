import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { startDaemon } from "../../scripts/daemon";
import { answers, until } from "../../scripts/process";
import type { Engine } from "./engine";
import { freePorts } from "./ports";
import type { TestServer } from "./server";

const EXAMPLE = path.resolve(__dirname, "../../examples/haproxy.cfg");

interface Haproxy {
  pid: number;
  signal(signal: NodeJS.Signals): void;
  stop(): Promise<void>;
}

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

/** Starts haproxy in front of three servers, which passes connections on as they are: for the Docker API, which upgrades requests with a body. */
export async function startTcpHaproxy(
  servers: TestServer[],
): Promise<{ dockerHost: string; reload(): Promise<void>; stop(): Promise<void> }> {
  const [port] = (await freePorts(1)) as [number];
  const timeouts = "timeout connect 5s\ntimeout client 1h\ntimeout server 1h";
  const backends = servers.map(({ url }, index) => `server n${index} ${new URL(url).host}`).join("\n");
  const config = `defaults\nmode tcp\n${timeouts}\nlisten docker\nbind 127.0.0.1:${port}\nbalance roundrobin\n${backends}\n`;
  const haproxy = await runHaproxy(config, port, "/health", ["-W"]);
  const workers = () => readFileSync(`/proc/${haproxy.pid}/task/${haproxy.pid}/children`, "utf8").trim().split(" ");
  return {
    dockerHost: `tcp://127.0.0.1:${port}`,
    /** Resolves when new connections go to another process; the old one keeps its own. */
    async reload() {
      const before = workers();
      haproxy.signal("SIGUSR2");
      const isReloaded = async () =>
        workers().some((pid) => !before.includes(pid)) && (await answers({ host: "127.0.0.1", port, path: "/health" }));
      if (!(await until(isReloaded, 20_000))) throw new Error("haproxy has not reloaded");
    },
    stop: haproxy.stop,
  };
}

async function runHaproxy(config: string, port: number, readyPath: string, flags: string[] = []): Promise<Haproxy> {
  const folder = mkdtempSync(path.join(tmpdir(), "docker-server-haproxy-"));
  const file = path.join(folder, "haproxy.cfg");
  writeFileSync(file, config);
  const haproxy = await startDaemon({
    command: "haproxy",
    args: ["-f", file, "-db", ...flags],
    logFile: path.join(folder, "output.log"),
    ready: () => answers({ host: "127.0.0.1", port, path: readyPath }),
  });
  return {
    pid: haproxy.pid,
    signal: haproxy.signal,
    async stop() {
      // Its workers end with it.
      await haproxy.end("SIGTERM");
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
