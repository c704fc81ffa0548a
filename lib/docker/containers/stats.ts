import { setTimeout as sleep } from "node:timers/promises";
import type { ContainerStats } from "dockerode";
import { AppError } from "../../errors";
import type { Engine } from "../engine";
import { toAppErrorFromEngine } from "../engine-errors";

/** Resource usage of a container, in bytes unless said otherwise. */
export interface Usage {
  /** ISO 8601 */
  read: string;
  /** 100 is one busy core */
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

const SECOND_MEASUREMENT_MS = 1000;
/** The engine's time for "never": the container doesn't run. */
const ZERO_TIME = "0001-01-01";

/**
 * Measures the current usage of a container, which takes the engine one to two seconds.
 * @param id full id
 * @throws AppError NOT_RUNNING
 */
export async function readUsage(engine: Engine, id: string): Promise<Usage> {
  const measure = async () => (await engine.call((docker) => docker.getContainer(id).stats({ stream: false }))) as ContainerStats;
  const first = await measure();
  let usage = parseUsage(first);
  // Docker measures twice, and Podman once, which tells no share of the CPU.
  if (usage && first.precpu_stats.system_cpu_usage === undefined) {
    await sleep(SECOND_MEASUREMENT_MS);
    usage = parseUsage({ ...(await measure()), precpu_stats: first.cpu_stats });
  }
  if (!usage) throw new AppError("NOT_RUNNING", { details: { id } });
  return usage;
}

/**
 * Measures the usage once a second until the container ends.
 * @param signal ends it early
 * @throws AppError NOT_RUNNING
 */
export async function followUsage(engine: Engine, id: string, signal: AbortSignal): Promise<AsyncGenerator<Usage>> {
  const usages = parseUsageStream(await engine.stream("GET", `/containers/${id}/stats`, { query: { stream: true }, signal }), signal);
  // The first measurement has no previous one to compute the CPU share from.
  const { done } = await usages.next();
  if (done) throw new AppError("NOT_RUNNING", { details: { id } });
  return usages;
}

async function* parseUsageStream(stream: AsyncIterable<Buffer>, signal: AbortSignal): AsyncGenerator<Usage> {
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
    if (!signal.aborted) throw toAppErrorFromEngine(error);
  }
}

/** All fields are absent if the container doesn't run, or if the host has no memory cgroup. */
interface MemoryStats {
  usage?: number;
  limit?: number;
  stats?: Record<string, number>;
}

/** Whether any usage is reported: of a container that doesn't run there is none. Hosts can lack single cgroups. */
function usesAnything({ memory_stats, cpu_stats, pids_stats }: ContainerStats): boolean {
  const { usage } = (memory_stats ?? {}) as MemoryStats;
  return usage !== undefined || (pids_stats?.current ?? 0) > 0 || (cpu_stats?.cpu_usage?.total_usage ?? 0) > 0;
}

/**
 * Computes the usage as `docker stats` does: what the host doesn't measure is 0.
 * @returns undefined if the container doesn't run
 */
export function parseUsage(stats: ContainerStats): Usage | undefined {
  if (!stats.read || stats.read.startsWith(ZERO_TIME) || !usesAnything(stats)) return undefined;
  const { cpu_stats: now, precpu_stats: before } = stats;
  const { usage: allMemory = 0, limit: memoryLimit = 0, stats: memoryDetails = {} } = (stats.memory_stats ?? {}) as MemoryStats;
  const cpuTime = now.cpu_usage.total_usage - before.cpu_usage.total_usage;
  const systemTime = now.system_cpu_usage - (before.system_cpu_usage ?? 0);
  const cores = now.online_cpus || now.cpu_usage.percpu_usage?.length || 1;
  const hasCpuShare = before.system_cpu_usage !== undefined && systemTime > 0 && cpuTime > 0;
  // The reclaimable page cache doesn't count: total_inactive_file of cgroup 1, whose inactive_file is without the cgroups below, or
  // inactive_file of cgroup 2.
  const { inactive_file = 0, total_inactive_file: reclaimable = inactive_file } = memoryDetails;
  const usedMemory = allMemory > reclaimable ? allMemory - reclaimable : allMemory;
  const networks = Object.values(stats.networks ?? {});
  const blockTransfers = (stats.blkio_stats?.io_service_bytes_recursive ?? []) as { op: string; value: number }[];
  const sum = (numbers: number[]) => numbers.reduce((total, each) => total + each, 0);
  const transferred = (operation: string) =>
    sum(blockTransfers.filter(({ op }) => op.toLowerCase() === operation).map(({ value }) => value));
  return {
    read: stats.read,
    cpu_percent: roundToHundredths(hasCpuShare ? (cpuTime / systemTime) * cores * 100 : 0),
    memory: usedMemory,
    memory_limit: memoryLimit,
    memory_percent: roundToHundredths(memoryLimit > 0 ? (usedMemory / memoryLimit) * 100 : 0),
    network_in: sum(networks.map(({ rx_bytes }) => rx_bytes)),
    network_out: sum(networks.map(({ tx_bytes }) => tx_bytes)),
    block_read: transferred("read"),
    block_write: transferred("write"),
    pids: stats.pids_stats?.current ?? 0,
  };
}

const roundToHundredths = (value: number) => Math.round(value * 100) / 100;
