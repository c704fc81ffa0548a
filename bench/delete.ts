import type { Bed } from "./bed";
import { type Comparison, compareTimes, type Task } from "./compare";
import { newContainer } from "./container";

/** Removes containers by force: running ones, and ones that were never started. */
export async function benchDelete(bed: Bed): Promise<Comparison[]> {
  const target = { against: "raw", ratio: 1.15 } as const;
  const comparisons: Comparison[] = [];
  for (const { running, rounds } of [
    { running: true, rounds: 18 },
    { running: false, rounds: 48 },
  ]) {
    const task = (work: (id: string) => Promise<unknown>): Task<string> => ({
      prepare: () => newContainer(bed, ["sleep", "600"], running),
      work: async (id) => void (await work(id)),
    });
    const tasks = {
      ours: task((id) => bed.ours.ask("DELETE", `/${id}`)),
      raw: task((id) => bed.raw.ask("DELETE", `/containers/${id}?force=1`)),
      cli: task((id) => bed.cli(["rm", "--force", id])),
    };
    comparisons.push(await compareTimes(`delete, ${running ? "running" : "stopped"}`, rounds, tasks, target));
  }
  return comparisons;
}
