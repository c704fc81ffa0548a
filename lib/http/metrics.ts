import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from "prom-client";
import { type MeasuredKind, type Measurement, onMeasured } from "../support/measure";

/** From a response served from memory to a long image pull. */
const DURATION_BUCKETS_SECONDS = [0.001, 0.005, 0.02, 0.1, 0.5, 1, 2, 5, 10, 30];

/** Histograms of what is measured: name, help, and the name of its label, if it has any. */
const MEASURED: Record<MeasuredKind, [name: string, help: string, label?: string]> = {
  engine: ["docker_server_engine_seconds", "Time of calls of the Engine API", "operation"],
  peer: ["docker_server_peer_seconds", "Time until another node has answered a call", "peer"],
  queue: ["docker_server_queue_seconds", "Time that runs have waited for room on a node or for a slot of this one", "queue"],
  pull: ["docker_server_pull_seconds", "Time of pulls of images"],
};

/** Where the numbers of each scrape come from. */
export interface MetricsSources {
  /** load of this host, each value from 0 to 1 */
  readLoad(): Promise<{ cpu: number; memory: number }>;
  /** number of running runs, of queued runs, and of warm sandboxes */
  countRuns(): Record<"running" | "waiting" | "warm", number>;
  /** code runs that found a warm sandbox, and that did not, since the start */
  countWarmPool(): { hits: number; misses: number };
  /** log lines that could not be written, by file */
  lostLogLines(): Record<string, number>;
  /** of the file system that the engine keeps its data on, bytes; undefined if this process can't see it */
  readDisk(): Promise<{ free: number; size: number } | undefined>;
  /** when the certificate that is served ends, seconds since 1970; undefined without HTTPS */
  certificateEnd(): number | undefined;
  /** undefined for a node alone; nodes: besides this one */
  cluster:
    | { storeWasRead(): boolean; warnings(): string[]; nodes(): Record<"reachable" | "missing", number>; waiting(): number }
    | undefined;
  /** undefined if containers are not measured */
  readContainers: (() => Promise<{ name: string; image: string; cpuSeconds: number; memoryBytes: number; restarts: number }[]>) | undefined;
}

/** The metrics in Prometheus format. */
export class Metrics {
  private readonly registry = new Registry();
  private readonly requests = this.counter("docker_server_requests_total", "Requests answered", "method", "route", "status");
  private readonly durations = this.histogram("docker_server_request_seconds", "Time to the end of the answer", "method", "route");
  private readonly containers = this.gauge("docker_server_containers", "Containers of this host by state", "state");
  private readonly engine = this.gauge("docker_server_engine_up", "1 if the engine answers");
  private readonly load = this.gauge("docker_server_host_load", "Load of this host, 0 to 1", "resource");
  private readonly runs = this.gauge(
    "docker_server_runs",
    "One-off and code runs of this host that run, that wait for a place, and sandboxes kept warm",
    "state",
  );
  private readonly warmPool = this.counter("docker_server_warm_pool_total", "Code runs that found a warm sandbox, or none", "outcome");
  private readonly lostLines = this.gauge("docker_server_log_lines_lost", "Log lines that could not be written since the start", "file");
  private readonly measured = new Map<MeasuredKind, Histogram>();

  constructor(private readonly sources: MetricsSources) {
    collectDefaultMetrics({ register: this.registry });
    for (const [kind, [name, help, label]] of Object.entries(MEASURED) as [MeasuredKind, (typeof MEASURED)[MeasuredKind]][])
      this.measured.set(kind, this.histogram(name, help, ...(label === undefined ? [] : [label]), "outcome"));
    onMeasured((measurement) => this.countMeasured(measurement));
  }

  get contentType(): string {
    return this.registry.contentType;
  }

  /** Counts a finished request. */
  countRequest(method: string, route: string, status: number, seconds: number): void {
    this.requests.inc({ method, route, status });
    this.durations.observe({ method, route }, seconds);
  }

  /**
   * Formats all metrics as text.
   * @param states the state of each container; undefined if the engine doesn't respond
   */
  async text(states: string[] | undefined): Promise<string> {
    const { readLoad, countRuns, countWarmPool, lostLogLines } = this.sources;
    this.engine.set(states ? 1 : 0);
    this.containers.reset();
    for (const state of states ?? []) this.containers.inc({ state });
    const { cpu, memory } = await readLoad();
    this.load.set({ resource: "cpu" }, cpu);
    this.load.set({ resource: "memory" }, memory);
    for (const [state, count] of Object.entries(countRuns())) this.runs.set({ state }, count);
    const { hits, misses } = countWarmPool();
    this.setTotals(this.warmPool, [
      [{ outcome: "hit" }, hits],
      [{ outcome: "miss" }, misses],
    ]);
    for (const [file, count] of Object.entries(lostLogLines())) this.lostLines.set({ file }, count);
    this.setCluster();
    this.setCertificate();
    await this.setDisk();
    if (states) await this.setContainers();
    return this.registry.metrics();
  }

  private countMeasured({ kind, label, seconds, failed }: Measurement): void {
    const name = MEASURED[kind][2];
    this.measured.get(kind)?.observe({ ...(name === undefined ? {} : { [name]: label }), outcome: failed ? "failed" : "ok" }, seconds);
  }

  private setCluster(): void {
    const { cluster } = this.sources;
    if (!cluster) return;
    this.gauge("docker_server_cluster_complete", "1 if the store was read since the start").set(cluster.storeWasRead() ? 1 : 0);
    const warnings = "Warnings of /nodes: nodes that use one engine or have one name";
    this.gauge("docker_server_cluster_warnings", warnings).set(cluster.warnings().length);
    const nodes = this.gauge("docker_server_cluster_nodes", "Other nodes by state", "state");
    for (const [state, count] of Object.entries(cluster.nodes())) nodes.set({ state }, count);
    this.gauge("docker_server_queue_length", "Runs that wait until a node has room").set(cluster.waiting());
  }

  private setCertificate(): void {
    const end = this.sources.certificateEnd();
    const help = "When the certificate that is served ends, seconds since 1970";
    if (end !== undefined) this.gauge("docker_server_certificate_end_seconds", help).set(end);
  }

  private async setDisk(): Promise<void> {
    const disk = await this.sources.readDisk();
    if (!disk) return;
    this.gauge("docker_server_engine_disk_free_bytes", "Free space where the engine keeps its data").set(disk.free);
    this.gauge("docker_server_engine_disk_size_bytes", "Size of the file system where the engine keeps its data").set(disk.size);
  }

  private async setContainers(): Promise<void> {
    const { readContainers } = this.sources;
    if (!readContainers) return;
    const all = (await readContainers()).map(({ name, image, ...numbers }) => ({ labels: { name, image }, ...numbers }));
    const labels = ["name", "image"];
    const cpu = this.counter("docker_server_container_cpu_seconds_total", "Processor time of a container", ...labels);
    this.setTotals(
      cpu,
      all.map((each) => [each.labels, each.cpuSeconds]),
    );
    const restarts = this.counter("docker_server_container_restarts_total", "Restarts of a container by its restart policy", ...labels);
    this.setTotals(
      restarts,
      all.map((each) => [each.labels, each.restarts]),
    );
    const memory = this.gauge("docker_server_container_memory_bytes", "Memory of a container, without the page cache", ...labels);
    memory.reset();
    for (const each of all) memory.set(each.labels, each.memoryBytes);
  }

  /** Sets a counter whose value is counted elsewhere. */
  private setTotals(counter: Counter, totals: [labels: Record<string, string>, total: number][]): void {
    counter.reset();
    for (const [labels, total] of totals) counter.inc(labels, total);
  }

  private gauge(name: string, help: string, ...labelNames: string[]): Gauge {
    const existing = this.registry.getSingleMetric(name) as Gauge | undefined;
    return existing ?? new Gauge({ name, help, labelNames, registers: [this.registry] });
  }

  private counter(name: string, help: string, ...labelNames: string[]): Counter {
    const existing = this.registry.getSingleMetric(name) as Counter | undefined;
    return existing ?? new Counter({ name, help, labelNames, registers: [this.registry] });
  }

  private histogram(name: string, help: string, ...labelNames: string[]): Histogram {
    return new Histogram({ name, help, labelNames, buckets: DURATION_BUCKETS_SECONDS, registers: [this.registry] });
  }
}
