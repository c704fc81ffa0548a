import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { Metrics } from "../../../lib/http/metrics";
import { run } from "../../../scripts/process";

const EXAMPLES = path.resolve(__dirname, "../../../examples");

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(path.join(tmpdir(), "docker-server-monitoring-"));
});
afterAll(() => rmSync(folder, { recursive: true }));

test("promtool accepts the example configuration with its alert rules", async () => {
  const token = path.join(folder, "token");
  writeFileSync(token, "ds1_example");
  const configuration = readFileSync(path.join(EXAMPLES, "prometheus.yml"), "utf8");
  writeFileSync(path.join(folder, "prometheus.yml"), configuration.replace(/(?<=credentials_file: )\S+/, token));
  writeFileSync(path.join(folder, "prometheus-alerts.yml"), readFileSync(path.join(EXAMPLES, "prometheus-alerts.yml")));
  const { code, stdout, stderr } = await run("promtool", ["check", "config", path.join(folder, "prometheus.yml")]);
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  expect(stdout).toMatch(/SUCCESS: 1[0-9] rules found/);
});

test("promtool finds nothing to say about the metrics", async () => {
  const metrics = new Metrics({
    readLoad: async () => ({ cpu: 0, memory: 0 }),
    countRuns: () => ({ running: 0, waiting: 0, warm: 0 }),
    countWarmPool: () => ({ hits: 1, misses: 1 }),
    lostLogLines: () => ({ terminal: 0 }),
    readDisk: async () => ({ free: 1, size: 2 }),
    certificateEnd: () => 1,
    cluster: { storeWasRead: () => true, warnings: () => [], nodes: () => ({ reachable: 1, missing: 0 }), waiting: () => 0 },
    readContainers: async () => [{ name: "web", image: "nginx", cpuSeconds: 1, memoryBytes: 1, restarts: 0 }],
  });
  metrics.countRequest("GET", "/", 200, 1);
  const file = path.join(folder, "metrics");
  writeFileSync(file, await metrics.text(["running"]));
  // The others are those of Node.js.
  const { code, stdout, stderr } = await run("sh", ["-c", 'grep docker_server_ "$1" | promtool check metrics', "sh", file]);
  expect({ code, stdout, stderr }).toEqual({ code: 0, stdout: "", stderr: "" });
});
