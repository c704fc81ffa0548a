import autocannon from "autocannon";
import { type Bed, CREDENTIALS } from "./bed";
import { type Comparison, compareValues, type Side } from "./compare";

const CONTAINER_COUNTS = [0, 20, 100];
const CONCURRENCIES = [1, 16];
const ROUNDS = 3;
const LOAD_SECONDS = 1;

/** Lists all containers, in requests per second. */
export async function benchList(bed: Bed): Promise<Comparison[]> {
  const comparisons: Comparison[] = [];
  let created = 0;
  for (const count of CONTAINER_COUNTS) {
    for (; created < count; created++)
      await bed.raw.ask("POST", "/containers/create", { Image: "busybox", Labels: { number: `${created}` } });
    for (const concurrency of CONCURRENCIES) {
      const title = `list ${count} containers, ${concurrency} at a time`;
      const target = count === 100 && concurrency === 16 ? ({ against: "raw", ratio: 10 } as const) : undefined;
      const medians = await compareValues(title, ROUNDS, (side) => listRate(bed, side, concurrency));
      comparisons.push({ title, unit: "requests/s", medians, target });
    }
  }
  await bed.cli(["container", "prune", "--force"]);
  return comparisons;
}

async function listRate(bed: Bed, side: Side, concurrency: number): Promise<number> {
  if (side === "cli") return commandRate(() => bed.cli(["ps", "--all", "--no-trunc"]), concurrency);
  const target =
    side === "ours"
      ? { url: `${bed.server.url}/`, headers: CREDENTIALS }
      : { url: "http://docker/containers/json?all=1", socketPath: bed.engine.socket };
  const result = await autocannon({ ...target, connections: concurrency, duration: LOAD_SECONDS });
  const failed = result.non2xx + result.errors + result.timeouts;
  if (failed > 0) throw new Error(`${failed} of the requests to ${target.url} failed`);
  return result.requests.total / result.duration;
}

/** Runs a command repeatedly with the given concurrency. @returns runs per second */
async function commandRate(command: () => Promise<unknown>, concurrency: number): Promise<number> {
  const start = performance.now();
  let done = 0;
  const worker = async () => {
    for (; performance.now() - start < LOAD_SECONDS * 1000; done++) await command();
  };
  await Promise.all(Array.from({ length: concurrency }, worker));
  return (done * 1000) / (performance.now() - start);
}
