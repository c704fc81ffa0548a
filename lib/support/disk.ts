import { statfs } from "node:fs/promises";

/** Room of one file system, bytes. */
export interface DiskRoom {
  /** for ordinary users */
  free: number;
  size: number;
}

/** Less than this part of a disk counts as too little, as in examples/prometheus-alerts.yml. */
const LOW_PART = 0.1;

/** The room of the file system that holds a path. */
export async function readDiskRoom(path: string): Promise<DiskRoom> {
  const { bavail, blocks, bsize } = await statfs(path);
  return { free: bavail * bsize, size: blocks * bsize };
}

/** Tells the room for people, with a remedy if it is little. */
export function describeRoom({ free, size }: DiskRoom): { found: string; remedy?: string } {
  const found = `${(free / 1e9).toFixed(1)} of ${(size / 1e9).toFixed(1)} GB are free`;
  return free < LOW_PART * size ? { found, remedy: "Make room: remove images, containers and files that nobody needs" } : { found };
}
