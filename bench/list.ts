import autocannon from "autocannon";
import { type Bed, CREDENTIALS } from "./bed";
import { type Comparison, compareValues, type Side } from "./compare";

const CONTAINERS = [0, 20, 100];
const CONCURRENCY = [1, 16];
const ROUNDS = 3;
const SECONDS = 1;

/** The list of all containers, requests a second. */
export async function benchList(bed: Bed): Promise<Comparison[]> {
  const comparisons: Comparison[] = [];
  let there = 0;
  for (const count of CONTAINERS) {
    for (; there < count; there++) await bed.raw.ask("POST", "/containers/create", { Image: "busybox", Labels: { number: `${there}` } });
    for (const concurrency of CONCURRENCY) {
      const what = `list ${count} containers, ${concurrency} at a time`;
      const target = count === 100 && concurrency === 16 ? ({ against: "raw", ratio: 10 } as const) : undefined;
      const medians = await compareValues(what, ROUNDS, (side) => listLoad(bed, side, concurrency));
      comparisons.push({ what, unit: "requests/s", medians, target });
    }
  }
  await bed.cli(["container", "prune", "--force"]);
  return comparisons;
}

async function listLoad(bed: Bed, side: Side, concurrency: number): Promise<number> {
  if (side === "cli") return commandLoad(() => bed.cli(["ps", "--all", "--no-trunc"]), concurrency);
  const target =
    side === "ours"
      ? { url: `${bed.server.url}/`, headers: CREDENTIALS }
      : { url: "http://docker/containers/json?all=1", socketPath: bed.engine.socket };
  const result = await autocannon({ ...target, connections: concurrency, duration: SECONDS });
  const failed = result.non2xx + result.errors + result.timeouts;
  if (failed > 0) throw new Error(`${failed} of the requests to ${target.url} failed`);
  return result.requests.total / result.duration;
}

/** Runs a command again and again, so many at a time; returns how often a second. */
async function commandLoad(command: () => Promise<unknown>, concurrency: number): Promise<number> {
  const start = performance.now();
  let done = 0;
  const worker = async () => {
    for (; performance.now() - start < SECONDS * 1000; done++) await command();
  };
  await Promise.all(Array.from({ length: concurrency }, worker));
  return (done * 1000) / (performance.now() - start);
}
