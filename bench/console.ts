import { type Bed, makeBed } from "./bed";
import { benchConsoleLoad } from "./console-load";
import { benchConsoleLogs } from "./console-logs";
import { benchConsoleMany } from "./console-many";
import { benchLogSearch } from "./log-search";
import { type AbsoluteMeasurement, absoluteTable, pairTable } from "./report";

// The console in Chromium, and the search in logs that it asks for.

const onBed = (bench: (bed: Bed) => Promise<AbsoluteMeasurement[]>) => async () => {
  const bed = await makeBed();
  try {
    return absoluteTable(await bench(bed));
  } finally {
    await bed.close();
  }
};

/** Each gives a table. */
const BENCHES: Record<string, () => Promise<string>> = {
  load: onBed(benchConsoleLoad),
  many: async () => absoluteTable(await benchConsoleMany()),
  logs: onBed(benchConsoleLogs),
  async search() {
    const { pairs, own } = await benchLogSearch();
    return `${pairTable(pairs)}\n${absoluteTable(own)}`;
  },
};

async function main(names: string[]): Promise<void> {
  for (const name of names) process.stdout.write(`\nconsole: ${name}\n${await BENCHES[name]?.()}`);
}

const known = Object.keys(BENCHES);
const chosen = process.argv.slice(2);
const unknown = chosen.filter((name) => !known.includes(name));
if (unknown.length > 0) {
  process.stderr.write(`bench:console: unknown: ${unknown.join(" ")}. Known: ${known.join(" ")}; without a name all of them run.\n`);
  process.exit(2);
}
// Exiting runs the handlers that stop the engines and their processes.
for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => process.exit(1));
main(chosen.length > 0 ? chosen : known).catch((error: Error) => {
  process.stderr.write(`\nbench:console: ${error.stack}\n`);
  process.exit(1);
});
