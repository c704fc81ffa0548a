import { bed } from "../test/support/bed";
import { benchAccess } from "./access";
import { benchAgainst } from "./against";
import { type Bed, makeBed } from "./bed";
import { benchCluster } from "./cluster";
import type { Comparison } from "./compare";
import { benchDelete } from "./delete";
import { benchDockerApi } from "./docker-api";
import { benchExec } from "./exec";
import { benchFiles } from "./files";
import { benchList } from "./list";
import { benchLogs } from "./logs";
import { benchManaged } from "./managed";
import { benchProxy } from "./proxy";
import { type AbsoluteMeasurement, absoluteTable, againstTable, comparisonTable, pairTable, proxyTable } from "./report";
import { benchRun } from "./run";
import { benchRuns } from "./runs";
import { benchStart, residentMegabytes } from "./start";
import { benchTerminals } from "./terminals";

const ONE_NODE_BENCHES: Record<string, (bed: Bed) => Promise<Comparison[]>> = {
  list: benchList,
  run: benchRun,
  exec: benchExec,
  logs: benchLogs,
  delete: benchDelete,
  runs: benchRuns,
  files: benchFiles,
  managed: benchManaged,
  terminals: benchTerminals,
};
const BENCH_NAMES = ["start", "access", ...Object.keys(ONE_NODE_BENCHES), "docker-api", "cluster", "proxy"];
/** These start engines of their own. */
const BENCHES_WITH_OWN_ENGINES = new Set(["docker-api", "cluster", "proxy"]);

async function main(chosen: string[]): Promise<void> {
  if (chosen.some((name) => !BENCHES_WITH_OWN_ENGINES.has(name))) await runOneNodeBenches(chosen);
  if (chosen.includes("docker-api")) {
    const pairs = await benchDockerApi();
    process.stdout.write(`\nThe Docker API (medians, measured in turns)\n${pairTable(pairs)}`);
  }
  if (chosen.includes("cluster")) {
    const pairs = await benchCluster();
    process.stdout.write(`\nNodes with separate engines and networks on this machine (medians, measured in turns)\n${pairTable(pairs)}`);
  }
  if (!chosen.includes("proxy")) return;
  const { rows, own } = await benchProxy();
  process.stdout.write(
    `\nThe proxy and nginx in front of one container (medians, measured in turns)\n${proxyTable(rows)}\n${absoluteTable(own)}`,
  );
}

async function runOneNodeBenches(chosen: string[]): Promise<void> {
  const bed = await makeBed();
  const comparisons: Comparison[] = [];
  const own: AbsoluteMeasurement[] = [];
  try {
    if (chosen.includes("start")) own.push(...(await benchStart(bed)));
    if (chosen.includes("access")) own.push(...(await benchAccess(bed)));
    for (const [name, bench] of Object.entries(ONE_NODE_BENCHES)) {
      if (chosen.includes(name)) comparisons.push(...(await bench(bed)));
    }
    if (comparisons.length > 0)
      own.push({ title: "memory after all benchmarks", value: residentMegabytes(bed.server.process.pid), unit: "MB" });
  } finally {
    await bed.close();
  }
  if (comparisons.length > 0) {
    process.stdout.write(`\nThis server, the Engine API over its socket, and the docker CLI on one engine (medians, measured in turns)\n`);
    process.stdout.write(comparisonTable(comparisons));
  }
  process.stdout.write(`\n${absoluteTable(own)}`);
}

async function compareWithRevision(revision: string): Promise<void> {
  const rows = await benchAgainst(revision);
  process.stdout.write(`\nAn earlier build and this one on one engine (medians, measured in turns)\n\n${againstTable(revision, rows)}`);
}

const [first, revision, ...others] = process.argv.slice(2);
const isAgainst = first === "--against";
if (isAgainst && (revision === undefined || others.length > 0)) {
  process.stderr.write("bench: --against takes one revision, such as HEAD~1\n");
  process.exit(2);
}
const names = isAgainst ? [] : process.argv.slice(2);
const unknown = names.filter((name) => !BENCH_NAMES.includes(name));
if (unknown.length > 0) {
  process.stderr.write(
    `bench: unknown benchmark: ${unknown.join(" ")}. Known: ${BENCH_NAMES.join(" ")}; without a name all of them run.\n`,
  );
  process.exit(2);
}
// Exiting runs the handlers that stop the engines and their processes.
for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => process.exit(1));
(isAgainst ? compareWithRevision(revision as string) : main(names.length > 0 ? names : BENCH_NAMES))
  // Engines that were leased stay up after their leases.
  .finally(() => bed.removeHostsOf(process.pid))
  .catch((error: Error) => {
    process.stderr.write(`\nbench: ${error.stack}\n`);
    process.exit(1);
  });
