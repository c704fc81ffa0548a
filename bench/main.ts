import { type Bed, makeBed } from "./bed";
import { benchCluster } from "./cluster";
import type { Comparison } from "./compare";
import { benchDelete } from "./delete";
import { benchExec } from "./exec";
import { benchFiles } from "./files";
import { benchList } from "./list";
import { benchLogs } from "./logs";
import { benchManaged } from "./managed";
import { benchProxy } from "./proxy";
import { comparisonTable, type Own, ownTable, pairTable, proxyTable } from "./report";
import { benchRun } from "./run";
import { benchRuns } from "./runs";
import { benchStart, residentMegabytes } from "./start";
import { benchTerminals } from "./terminals";

const COMPARED: Record<string, (bed: Bed) => Promise<Comparison[]>> = {
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
const ALL = ["start", ...Object.keys(COMPARED), "cluster", "proxy"];
/** They have beds of their own. */
const APART = new Set(["cluster", "proxy"]);

async function main(chosen: string[]): Promise<void> {
  if (chosen.some((name) => !APART.has(name))) await oneNode(chosen);
  if (chosen.includes("cluster")) {
    const pairs = await benchCluster();
    process.stdout.write(`\nNodes on engines and networks of their own, on this one machine (medians, in turns)\n${pairTable(pairs)}`);
  }
  if (!chosen.includes("proxy")) return;
  const { rows, own } = await benchProxy();
  process.stdout.write(`\nThe proxy and nginx in front of one container, in turns (medians)\n${proxyTable(rows)}\n${ownTable(own)}`);
}

async function oneNode(chosen: string[]): Promise<void> {
  const bed = await makeBed();
  const comparisons: Comparison[] = [];
  const own: Own[] = [];
  try {
    if (chosen.includes("start")) own.push(...(await benchStart(bed)));
    for (const [name, bench] of Object.entries(COMPARED)) {
      if (chosen.includes(name)) comparisons.push(...(await bench(bed)));
    }
    if (comparisons.length > 0) own.push({ what: "memory after all this", value: residentMegabytes(bed.server.process.pid), unit: "MB" });
  } finally {
    await bed.close();
  }
  if (comparisons.length > 0) {
    process.stdout.write(`\nThis server, the Engine API over its socket, and the docker CLI, in turns on one engine (medians)\n`);
    process.stdout.write(comparisonTable(comparisons));
  }
  process.stdout.write(`\n${ownTable(own)}`);
}

const names = process.argv.slice(2);
const unknown = names.filter((name) => !ALL.includes(name));
if (unknown.length > 0) {
  process.stderr.write(`bench: unknown: ${unknown.join(" ")}. There are: ${ALL.join(" ")}; all of them if none is named.\n`);
  process.exit(2);
}
// The end of this process ends the private engine and all that belongs to it.
for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => process.exit(1));
main(names.length > 0 ? names : ALL).catch((error: Error) => {
  process.stderr.write(`\nbench: ${error.stack}\n`);
  process.exit(1);
});
