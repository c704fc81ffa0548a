import { readdirSync, readFileSync } from "node:fs";
import { setImmediate as nextTurn } from "node:timers/promises";

/** What was seen of the processes of this machine while something went on. */
export interface Sightings {
  /** Command lines in which the marker stood, each once. */
  marked: string[];
  /** Command lines, and environments of marked processes, in which the secret stood. */
  leaks: string[];
}

/**
 * Looks at the command lines of all processes, over and over, until `work` is done.
 * @param marker tells the processes that are to be seen: if none is, nothing was proved
 * @param secret must not be seen
 */
export async function watchProcesses(marker: string, secret: string, work: Promise<unknown>): Promise<Sightings> {
  const marked = new Set<string>();
  const leaks = new Set<string>();
  let over = false;
  const done = work.finally(() => {
    over = true;
  });
  while (!over) {
    for (const pid of readdirSync("/proc").filter((name) => /^\d+$/.test(name) && name !== String(process.pid))) {
      const line = read(`/proc/${pid}/cmdline`);
      if (line.includes(secret)) leaks.add(line);
      if (!line.includes(marker)) continue;
      marked.add(line);
      const environment = read(`/proc/${pid}/environ`);
      if (environment.includes(secret)) leaks.add(environment);
    }
    await nextTurn();
  }
  await done;
  return { marked: [...marked], leaks: [...leaks] };
}

function read(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return ""; // it has ended
  }
}
