import { readdirSync, readFileSync } from "node:fs";
import { setImmediate as nextTurn } from "node:timers/promises";

/** A process can end between two looks at a busy machine. */
const MAX_TRIES = 20;

/**
 * Reads the command lines of all processes repeatedly while work is done, which is repeated until a process was seen that does it.
 * @param marker identifies the processes that must be observed: without a match the check proves nothing
 * @param secret must not appear
 * @param work gets the number of the try, from 1
 * @returns the command lines, and the environments of marked processes, that contain the secret
 * @throws Error if no process with the marker was seen
 */
export async function watchProcesses(marker: RegExp, secret: string, work: (attempt: number) => Promise<unknown>): Promise<string[]> {
  const leaks: string[] = [];
  for (let attempt = 1; attempt <= MAX_TRIES; attempt++) {
    const seen = await watchOnce(marker, secret, work(attempt));
    leaks.push(...seen.leaks);
    if (seen.isMarked) return leaks;
  }
  throw new Error(`no process with ${marker} was seen`);
}

async function watchOnce(marker: RegExp, secret: string, work: Promise<unknown>): Promise<{ isMarked: boolean; leaks: Set<string> }> {
  let isMarked = false;
  const leaks = new Set<string>();
  let finished = false;
  const done = work.finally(() => {
    finished = true;
  });
  while (!finished) {
    for (const pid of readdirSync("/proc").filter((name) => /^\d+$/.test(name) && name !== String(process.pid))) {
      const line = read(`/proc/${pid}/cmdline`);
      if (line.includes(secret)) leaks.add(line);
      if (!marker.test(line)) continue;
      isMarked = true;
      const environment = read(`/proc/${pid}/environ`);
      if (environment.includes(secret)) leaks.add(environment);
    }
    await nextTurn();
  }
  await done;
  return { isMarked, leaks };
}

function read(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return ""; // it has ended
  }
}
