import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { startDaemon } from "../../scripts/daemon";
import { answers } from "../../scripts/process";
import { freePorts } from "./ports";
import type { TestServer } from "./server";

const EXAMPLE = path.resolve(__dirname, "../../examples/haproxy.cfg");

/** Starts haproxy with examples/haproxy.cfg, its addresses replaced by those of three servers. */
export async function startHaproxy(servers: TestServer[]): Promise<{ url: string; stop(): Promise<void> }> {
  const folder = mkdtempSync(path.join(tmpdir(), "docker-server-haproxy-"));
  const file = path.join(folder, "haproxy.cfg");
  const [port] = (await freePorts(1)) as [number];
  const config = servers.reduce(
    (text, { url }, index) => text.replace(`10.0.0.${index + 1}:1717`, new URL(url).host),
    readFileSync(EXAMPLE, "utf8").replace("bind :8080", `bind 127.0.0.1:${port}`),
  );
  writeFileSync(file, config);
  const haproxy = await startDaemon({
    command: "haproxy",
    args: ["-f", file, "-db"],
    logFile: path.join(folder, "output.log"),
    ready: () => answers({ host: "127.0.0.1", port, path: "/health" }),
  });
  return {
    url: `http://127.0.0.1:${port}`,
    async stop() {
      await haproxy.end("SIGKILL");
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
