import { readFileSync } from "node:fs";
import path from "node:path";
import { Bed } from "./bed";
import { type Engine, startBedEngine } from "./bed-engine";
import type { Resources } from "./demo-resources";
import { runOrThrow } from "./process";

/** Its names differ from those of the tests' bed, so that both can run at the same time. */
const bed = new Bed({ name: "docker-server-demo", prefix: "dsdemo", net: "10.98.0" });

const NAMES = ["node-1", "node-2", "node-3"];

export interface DemoHosts {
  engines: Engine[];
  /** A folder that all hosts reach. */
  shared: string;
}

/**
 * Simulates three hosts on this machine, each with its own network and engine; they are removed at the end. Hosts of a killed
 * demo are removed first. Returns the reason if the hosts can't be simulated; never rejects.
 */
export async function startHosts(resources: Resources): Promise<DemoHosts | string> {
  if (process.platform !== "linux" || process.getuid?.() !== 0) return "only root on Linux can make networks for them";
  try {
    await bed.sweep();
    await refuseTakenAddresses();
    const place = await resources.acquire(
      "folder shared by the hosts",
      () => bed.takePlace("shared"),
      (place) => place.release(),
    );
    const engines = NAMES.map((name) =>
      resources.acquire(
        `host of ${name}, with its network and engine`,
        () => startBedEngine(bed, { name }),
        (engine) => engine.stop(),
      ),
    );
    return { engines: await Promise.all(engines), shared: path.join(place.folder, "store") };
  } catch (error) {
    // The bridge may exist although no host could be connected to it.
    await bed.sweep().catch(() => undefined);
    const lines = (error as Error).message.split("\n");
    return lines.length === 1 ? (lines[0] as string) : `${lines[0]} ${lines.at(-1)}`;
  }
}

/** Imports the demo's image into an engine that reaches no registry. */
export async function importImage(engine: Engine, layerFile: string, image: string): Promise<void> {
  const { code, stderr } = await engine.docker(["import", "-c", 'CMD ["sh"]', "-", image], readFileSync(layerFile));
  if (code !== 0) throw new Error(`docker import: ${stderr}`);
}

/** Throws an Error if this machine already has a route to the addresses of the hosts. */
async function refuseTakenAddresses(): Promise<void> {
  const { subnet, bridge } = bed.network;
  const routes = (await runOrThrow("ip", ["-4", "route", "show", "match", subnet])).split("\n");
  const taken = routes.find((route) => route !== "" && !route.startsWith("default ") && !route.includes(` dev ${bridge} `));
  if (taken) throw new Error(`their addresses (${subnet}) are in use: ${taken.trim()}`);
}
