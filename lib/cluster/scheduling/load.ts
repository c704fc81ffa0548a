/** How busy a machine is, each from 0 (idle) to 1. */
export interface Load {
  cpu: number;
  memory: number;
}

/** Measures this machine. */
export async function readLoad(): Promise<Load> {
  // Loaded at the first measurement: a single node needs it only when its metrics are read.
  const { currentLoad, mem } = await import("systeminformation");
  const [cpu, memory] = await Promise.all([currentLoad(), mem()]);
  return { cpu: cpu.currentLoad / 100, memory: 1 - memory.available / memory.total };
}
