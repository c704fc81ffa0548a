import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from "prom-client";

/** From a response served from memory to a long image pull. */
const DURATION_BUCKETS_SECONDS = [0.001, 0.005, 0.02, 0.1, 0.5, 1, 2, 5, 10, 30];

/** The metrics in Prometheus format. */
export class Metrics {
  private readonly registry = new Registry();
  private readonly requests: Counter;
  private readonly durations: Histogram;
  private readonly containers: Gauge;
  private readonly engine: Gauge;
  private readonly load: Gauge;
  private readonly runs: Gauge;
  private readonly lostLogLines: Gauge;
  private readonly clusterComplete: Gauge | undefined;
  private readonly clusterWarnings: Gauge | undefined;

  /**
   * @param readLoad load of this host, each value from 0 to 1
   * @param readRuns number of running runs, of queued runs, and of warm sandboxes
   * @param readLostLogLines log lines that could not be written, by file
   * @param cluster undefined for a node alone
   */
  constructor(
    private readonly readLoad: () => Promise<{ cpu: number; memory: number }>,
    private readonly readRuns: () => Record<"running" | "waiting" | "warm", number>,
    private readonly readLostLogLines: () => Record<string, number>,
    private readonly cluster?: { storeWasRead(): boolean; warnings(): string[] },
  ) {
    const registers = [this.registry];
    collectDefaultMetrics({ register: this.registry });
    this.requests = new Counter({
      name: "docker_server_requests_total",
      help: "Requests answered",
      labelNames: ["method", "route", "status"],
      registers,
    });
    this.durations = new Histogram({
      name: "docker_server_request_seconds",
      help: "Time to the end of the answer",
      labelNames: ["route"],
      buckets: DURATION_BUCKETS_SECONDS,
      registers,
    });
    this.containers = new Gauge({
      name: "docker_server_containers",
      help: "Containers of this host by state",
      labelNames: ["state"],
      registers,
    });
    this.engine = new Gauge({ name: "docker_server_engine_up", help: "1 if the engine answers", registers });
    this.load = new Gauge({ name: "docker_server_host_load", help: "Load of this host, 0 to 1", labelNames: ["resource"], registers });
    this.runs = new Gauge({
      name: "docker_server_runs",
      help: "One-off and code runs of this host that run, that wait for a place, and sandboxes kept warm",
      labelNames: ["state"],
      registers,
    });
    this.lostLogLines = new Gauge({
      name: "docker_server_log_lines_lost",
      help: "Log lines that could not be written since the start",
      labelNames: ["file"],
      registers,
    });
    if (!cluster) return;
    this.clusterComplete = new Gauge({
      name: "docker_server_cluster_complete",
      help: "1 if the store was read since the start",
      registers,
    });
    this.clusterWarnings = new Gauge({
      name: "docker_server_cluster_warnings",
      help: "Warnings of /nodes: nodes that use one engine or have one name",
      registers,
    });
  }

  get contentType(): string {
    return this.registry.contentType;
  }

  /** Counts a finished request. */
  countRequest(method: string, route: string, status: number, seconds: number): void {
    this.requests.inc({ method, route, status });
    this.durations.observe({ route }, seconds);
  }

  /**
   * Formats all metrics as text.
   * @param states the state of each container; undefined if the engine doesn't respond
   */
  async text(states: string[] | undefined): Promise<string> {
    this.engine.set(states ? 1 : 0);
    this.containers.reset();
    for (const state of states ?? []) this.containers.inc({ state });
    const { cpu, memory } = await this.readLoad();
    this.load.set({ resource: "cpu" }, cpu);
    this.load.set({ resource: "memory" }, memory);
    for (const [state, count] of Object.entries(this.readRuns())) this.runs.set({ state }, count);
    for (const [file, count] of Object.entries(this.readLostLogLines())) this.lostLogLines.set({ file }, count);
    this.clusterComplete?.set(this.cluster?.storeWasRead() ? 1 : 0);
    this.clusterWarnings?.set(this.cluster?.warnings().length ?? 0);
    return this.registry.metrics();
  }
}
