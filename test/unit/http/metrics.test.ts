import { Metrics, type MetricsSources } from "../../../lib/http/metrics";
import { measure } from "../../../lib/support/measure";
import { sourceOf } from "../../support/unit/sources";

const NUMBERS = { name: "web", image: "nginx", cpuSeconds: 1.5, memoryBytes: 1000, restarts: 2 };
const sources: MetricsSources = {
  readLoad: async () => ({ cpu: 0.25, memory: 0.5 }),
  countRuns: () => ({ running: 1, waiting: 2, warm: 3 }),
  countWarmPool: () => ({ hits: 4, misses: 5 }),
  lostLogLines: () => ({ "actions.jsonl": 6 }),
  readDisk: async () => ({ free: 7, size: 8 }),
  certificateEnd: () => 9,
  cluster: { storeWasRead: () => true, warnings: () => ["a"], nodes: () => ({ reachable: 2, missing: 1 }), waiting: () => 10 },
  readContainers: async () => [NUMBERS],
};
const textOf = (more: Partial<MetricsSources> = {}) => new Metrics({ ...sources, ...more }).text(["running"]);
/** Names of the metrics of this server in a text, without the suffixes of histograms. */
const namesIn = (text: string) =>
  new Set([...text.matchAll(/docker_server_\w+/g)].map(([name]) => name.replace(/_(?:bucket|count|sum)$/, "")));

describe("the metrics", () => {
  test.each([
    'docker_server_containers{state="running"} 1',
    'docker_server_host_load{resource="cpu"} 0.25',
    'docker_server_runs{state="waiting"} 2',
    'docker_server_warm_pool_total{outcome="miss"} 5',
    'docker_server_log_lines_lost{file="actions.jsonl"} 6',
    "docker_server_engine_disk_free_bytes 7",
    "docker_server_certificate_end_seconds 9",
    'docker_server_cluster_nodes{state="missing"} 1',
    "docker_server_queue_length 10",
    'docker_server_container_cpu_seconds_total{name="web",image="nginx"} 1.5',
    'docker_server_container_restarts_total{name="web",image="nginx"} 2',
  ])("have %s", async (line) => expect((await textOf()).split("\n")).toContain(line));

  test("have the latest value at each scrape, and no container that is gone", async () => {
    let containers = [NUMBERS];
    const metrics = new Metrics({ ...sources, readContainers: async () => containers });
    await metrics.text([]);
    expect(await metrics.text([])).toContain('docker_server_container_restarts_total{name="web",image="nginx"} 2\n');
    containers = [];
    expect(await metrics.text([])).not.toContain('name="web"');
  });

  test("of one node without HTTPS have nothing of a cluster, a certificate or containers", async () => {
    const text = await textOf({
      cluster: undefined,
      certificateEnd: () => undefined,
      readDisk: async () => undefined,
      readContainers: undefined,
    });
    expect(text).not.toMatch(/docker_server_(?:cluster|queue_length|certificate|engine_disk|container_)/);
  });

  test("count requests by method and route", async () => {
    const metrics = new Metrics(sources);
    metrics.countRequest("PUT", "/", 429, 0.01);
    const text = await metrics.text([]);
    expect(text).toContain('docker_server_requests_total{method="PUT",route="/",status="429"} 1');
    expect(text).toContain('docker_server_request_seconds_count{method="PUT",route="/"} 1');
  });

  test("have the time and the outcome of what is measured", async () => {
    const metrics = new Metrics(sources);
    await measure("engine", "create", async () => undefined);
    await measure("peer", "n2", async () => Promise.reject(new Error("no"))).catch(() => undefined);
    await measure("queue", "room", async () => undefined);
    await measure("pull", "", async () => undefined);
    const text = await metrics.text([]);
    expect(text).toContain('docker_server_engine_seconds_count{operation="create",outcome="ok"} 1');
    expect(text).toContain('docker_server_peer_seconds_count{peer="n2",outcome="failed"} 1');
    expect(text).toContain('docker_server_queue_seconds_count{queue="room",outcome="ok"} 1');
    expect(text).toContain('docker_server_pull_seconds_count{outcome="ok"} 1');
  });
});

describe("the examples for Prometheus and Grafana", () => {
  test.each(["examples/prometheus-alerts.yml", "examples/grafana-dashboard.json", "docs/operations.md"])(
    "%s names only metrics that exist",
    async (file) => {
      const known = namesIn(await textOf());
      const named = [...namesIn(sourceOf(file))];
      expect(named.length).toBeGreaterThan(10);
      expect(named.filter((name) => !known.has(name))).toEqual([]);
    },
  );

  test("every metric is explained", async () => {
    const explained = namesIn(sourceOf("docs/operations.md"));
    expect([...namesIn(await textOf())].filter((name) => !explained.has(name))).toEqual([]);
  });

  test("the dashboard has panels with a title, a place and queries", () => {
    const { panels, templating } = JSON.parse(sourceOf("examples/grafana-dashboard.json"));
    expect(templating.list.map(({ name }: { name: string }) => name)).toEqual(["datasource", "instance"]);
    expect(new Set(panels.map(({ gridPos }: { gridPos: { x: number; y: number } }) => `${gridPos.x} ${gridPos.y}`)).size).toBe(
      panels.length,
    );
    for (const { title, targets } of panels)
      expect([title, targets.every(({ expr }: { expr: string }) => expr.includes("docker_server_"))]).toEqual([title, true]);
  });
});
