import { readdirSync, readFileSync } from "node:fs";
import { setImmediate as nextTurn } from "node:timers/promises";

/** Observations of the processes of this machine during some work. */
export interface Sightings {
  /** Command lines that contain the marker, each once. */
  marked: string[];
  /** Command lines, and environments of marked processes, that contain the secret. */
  leaks: string[];
}

/**
 * Reads the command lines of all processes repeatedly until `work` is done.
 * @param marker identifies the processes that must be observed: without a match the check proves nothing
 * @param secret must not appear
 */
export async function watchProcesses(marker: string, secret: string, work: Promise<unknown>): Promise<Sightings> {
  const marked = new Set<string>();
  const leaks = new Set<string>();
  let finished = false;
  const done = work.finally(() => {
    finished = true;
  });
  while (!finished) {
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
