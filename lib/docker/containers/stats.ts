import type { ContainerStats } from "dockerode";
import { AppError } from "../../errors";
import type { Engine } from "../engine";
import { toAppErrorFromEngine } from "../engine-errors";

/** What a container uses; bytes, but for the shares. */
export interface Usage {
  /** ISO 8601 */
  read: string;
  /** of one core: two that are busy make 200 */
  cpu_percent: number;
  memory: number;
  memory_limit: number;
  memory_percent: number;
  network_in: number;
  network_out: number;
  block_read: number;
  block_write: number;
  pids: number;
}

/** The engine's way of saying never: there is nothing to tell of a container that doesn't run. */
const ZERO_TIME = "0001-01-01";

/**
 * What a container uses, as of now; takes the second or two in which the engine measures.
 * @param id full id
 * @throws AppError NOT_RUNNING
 */
export async function readUsage(engine: Engine, id: string): Promise<Usage> {
  const stats = (await engine.call((docker, abortSignal) =>
    docker.getContainer(id).stats({ stream: false, abortSignal } as { stream?: false }),
  )) as ContainerStats;
  const usage = parseUsage(stats);
  if (!usage) throw new AppError("NOT_RUNNING", { details: { id } });
  return usage;
}

/**
 * The same once a second, until the container ends.
 * @param signal ends it early
 * @throws AppError NOT_RUNNING
 */
export async function followUsage(engine: Engine, id: string, signal: AbortSignal): Promise<AsyncGenerator<Usage>> {
  const all = parseUsageStream(await engine.stream("GET", `/containers/${id}/stats`, { query: { stream: true }, signal }), signal);
  // The engine's first has nothing to compare with: it knows no share of the processors.
  const { done } = await all.next();
  if (done) throw new AppError("NOT_RUNNING", { details: { id } });
  return all;
}

async function* parseUsageStream(stream: AsyncIterable<Buffer>, ended: AbortSignal): AsyncGenerator<Usage> {
  const decoder = new TextDecoder();
  let rest = "";
  try {
    for await (const chunk of stream) {
      const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines) {
        const usage = parseUsage(JSON.parse(line) as ContainerStats);
        if (!usage) return;
        yield usage;
      }
    }
  } catch (error) {
    if (!ended.aborted) throw toAppErrorFromEngine(error);
  }
}

/**
 * Reads the engine's numbers as `docker stats` does.
 * @returns undefined if the container doesn't run
 */
export function parseUsage(stats: ContainerStats): Usage | undefined {
  if (!stats.read || stats.read.startsWith(ZERO_TIME) || stats.memory_stats?.usage === undefined) return undefined;
  const { cpu_stats: now, precpu_stats: before, memory_stats: memory } = stats;
  const used = now.cpu_usage.total_usage - before.cpu_usage.total_usage;
  const passed = now.system_cpu_usage - (before.system_cpu_usage ?? 0);
  const cores = now.online_cpus || now.cpu_usage.percpu_usage?.length || 1;
  const measured = before.system_cpu_usage !== undefined && passed > 0 && used > 0;
  // What the kernel keeps of files counts only until somebody else needs it (cgroups 1 and 2 name it differently).
  const { total_inactive_file = 0, inactive_file = total_inactive_file } = (memory.stats ?? {}) as Record<string, number>;
  const kept = memory.usage > inactive_file ? memory.usage - inactive_file : memory.usage;
  const networks = Object.values(stats.networks ?? {});
  const blocks = (stats.blkio_stats?.io_service_bytes_recursive ?? []) as { op: string; value: number }[];
  const sum = (numbers: number[]) => numbers.reduce((total, each) => total + each, 0);
  const moved = (operation: string) => sum(blocks.filter(({ op }) => op.toLowerCase() === operation).map(({ value }) => value));
  return {
    read: stats.read,
    cpu_percent: roundToHundredths(measured ? (used / passed) * cores * 100 : 0),
    memory: kept,
    memory_limit: memory.limit,
    memory_percent: roundToHundredths(memory.limit > 0 ? (kept / memory.limit) * 100 : 0),
    network_in: sum(networks.map(({ rx_bytes }) => rx_bytes)),
    network_out: sum(networks.map(({ tx_bytes }) => tx_bytes)),
    block_read: moved("read"),
    block_write: moved("write"),
    pids: stats.pids_stats?.current ?? 0,
  };
}

const roundToHundredths = (value: number) => Math.round(value * 100) / 100;
