import type { ContainerStats } from "dockerode";
import { isNotFound } from "../../errors";
import { forEachParallel } from "../../support/for-each-parallel";
import type { Engine } from "../engine";
import type { ContainerSummary } from "./container-list";
import { parseUsage } from "./stats";

/** Containers that are measured at a time. */
const PARALLEL = 8;
const NS_PER_SECOND = 1e9;

/** What one running container has used. */
export interface ContainerNumbers {
  name: string;
  image: string;
  /** since its start */
  cpuSeconds: number;
  memoryBytes: number;
  /** by its restart policy */
  restarts: number;
}

/**
 * Measures running containers; those that end meanwhile are left out.
 * @throws AppError if the engine doesn't answer
 */
export async function readContainerNumbers(engine: Engine, containers: readonly ContainerSummary[]): Promise<ContainerNumbers[]> {
  const running = containers.filter(({ state }) => state === "running");
  const measured: ContainerNumbers[] = [];
  await forEachParallel(running, PARALLEL, async (container) => {
    const numbers = await readNumbers(engine, container);
    if (numbers) measured.push(numbers);
  });
  return measured.sort((a, b) => (a.name < b.name ? -1 : 1));
}

async function readNumbers(engine: Engine, { id, name, image }: ContainerSummary): Promise<ContainerNumbers | undefined> {
  try {
    const [stats, { RestartCount }] = await Promise.all([
      // One measurement: two, a second apart, are needed for shares only.
      engine.call((docker) => docker.getContainer(id).stats({ stream: false, "one-shot": true } as object)) as unknown as ContainerStats,
      engine.call((docker) => docker.getContainer(id).inspect()),
    ]);
    const usage = parseUsage(stats);
    if (!usage) return undefined;
    return {
      name,
      image,
      cpuSeconds: stats.cpu_stats.cpu_usage.total_usage / NS_PER_SECOND,
      memoryBytes: usage.memory,
      restarts: RestartCount,
    };
  } catch (error) {
    if (isNotFound(error)) return undefined;
    throw error;
  }
}
