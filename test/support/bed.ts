import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { withBedLock } from "./lock";
import { addBridge, addHost, netnsFile, removeBridge, removeHost } from "./network";
import { cgroupOf, killProcesses, removeBedCgroup, removeCgroup, unmountBelow } from "./traces";

/** Everything the test bed writes lies here. It goes with the last place in it. */
export const BED = "/var/tmp/docker-server-bed";

const LAST_HOST = 250;

/** A folder of the test bed that belongs to this process. */
export interface Place {
  folder: string;
  /** Ends every process that has to do with the folder and removes every trace of it. Safe to call twice. */
  release(): Promise<void>;
}

/** A place for a simulated host with a network of its own; its address is that of `hostAddress(host)`. */
export interface HostPlace extends Place {
  host: number;
}

/**
 * Takes a folder for a part of the test bed, for instance `registry`, and sees to it that the bridge is there.
 * Whatever runs with it as working folder, or names it in its command line, ends with it: at `release`, when this
 * process exits, or else when the next test run takes a place.
 */
export function takePlace(kind: string): Promise<Place> {
  return withBedLock(() => {
    sweep();
    mkdirSync(BED, { recursive: true });
    addBridge();
    return place(mkdtempSync(path.join(BED, `${kind}-`)));
  });
}

/** Like `takePlace`, for a simulated host: with the lowest free number (1 to 250), and its network. */
export function takeHost(): Promise<HostPlace> {
  return withBedLock(() => {
    sweep();
    mkdirSync(BED, { recursive: true });
    addBridge();
    const host = freeHost();
    const folder = path.join(BED, `host-${host}`);
    mkdirSync(folder);
    const taken = { ...place(folder), host };
    try {
      addHost(host);
    } catch (error) {
      release(folder);
      throw error;
    }
    return taken;
  });
}

function freeHost(): number {
  const taken = new Set(readdirSync(BED));
  for (let host = 1; host <= LAST_HOST; host++) if (!taken.has(`host-${host}`)) return host;
  throw new Error(`all ${LAST_HOST} hosts of the test bed are in use; see ${BED}`);
}

function place(folder: string): Place {
  writeFileSync(path.join(folder, "owner"), identity(process.pid));
  if (ours.size === 0) process.once("exit", removeOurs);
  ours.add(folder);
  return { folder, release: () => withBedLock(() => release(folder)) };
}

// A number or name that was given back may by now be another process's, so only what is still ours is removed.
const ours = new Set<string>();

function release(folder: string): void {
  if (!ours.has(folder)) return;
  removeTracesOf(folder);
  ours.delete(folder);
  if (ours.size === 0) process.off("exit", removeOurs);
  sweep();
}

function removeOurs(): void {
  for (const folder of ours) removeTracesOf(folder);
}

/**
 * Removes what ended test runs have left, and the bed itself if nobody uses it. Taking a place does so too; for the
 * end of a test run.
 */
export const sweepBed = () => withBedLock(sweep);

/** Removes places whose process is gone; if none is left then, the bridge and the whole bed too. */
function sweep(): void {
  for (const folder of places()) if (!ownerLives(folder)) removeTracesOf(folder);
  if (places().length > 0) return;
  removeBridge();
  removeBedCgroup();
  rmSync(BED, { recursive: true, force: true });
}

function places(): string[] {
  try {
    const entries = readdirSync(BED, { withFileTypes: true });
    return entries.filter((entry) => entry.isDirectory()).map((entry) => path.join(BED, entry.name));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw error;
  }
}

function removeTracesOf(folder: string): void {
  const host = /\/host-(\d+)$/.exec(folder)?.[1];
  if (host === undefined) {
    killProcesses({ folder });
  } else {
    killProcesses({ folder, netns: netnsFile(Number(host)), cgroup: cgroupOf(Number(host)) });
    unmountBelow(folder);
    removeCgroup(cgroupOf(Number(host)));
    removeHost(Number(host));
  }
  rmSync(folder, { recursive: true, force: true });
}

function ownerLives(folder: string): boolean {
  try {
    const owner = readFileSync(path.join(folder, "owner"), "utf8");
    return owner !== "" && owner === identity(Number(owner.split(" ")[0]));
  } catch {
    return false;
  }
}

/** A process id with its start time, because ids are used again; the empty string if there is no such process. */
function identity(pid: number): string {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    const startTime = stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19];
    return `${pid} ${startTime}`;
  } catch {
    return "";
  }
}
