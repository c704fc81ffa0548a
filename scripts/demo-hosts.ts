import { readFileSync } from "node:fs";
import path from "node:path";
import { Bed } from "./bed";
import { type Engine, startBedEngine } from "./bed-engine";
import type { Belongings } from "./demo-resources";
import { runOrThrow } from "./process";

/** Named otherwise than the tests' own, so that both can run at the same time. */
const bed = new Bed({ name: "docker-server-demo", prefix: "dsdemo", net: "10.98.0" });

const NAMES = ["node-1", "node-2", "node-3"];

export interface DemoHosts {
  engines: Engine[];
  /** A folder that all of them reach. */
  shared: string;
}

/**
 * Simulates three hosts on this machine, each with a network and an engine of its own, that all go at the end. What a demo
 * that was killed has left of its hosts goes first. Returns a line that says why, where that can't be done; never rejects.
 */
export async function startHosts(belongings: Belongings): Promise<DemoHosts | string> {
  if (process.platform !== "linux" || process.getuid?.() !== 0) return "only root on Linux can make networks for them";
  try {
    await bed.sweep();
    await refuseTakenAddresses();
    const place = await belongings.take(
      "folder shared by the hosts",
      () => bed.takePlace("shared"),
      (had) => had.release(),
    );
    const engines = NAMES.map((name) =>
      belongings.take(
        `host of ${name}, with its network and engine`,
        () => startBedEngine(bed, { name }),
        (had) => had.stop(),
      ),
    );
    return { engines: await Promise.all(engines), shared: path.join(place.folder, "store") };
  } catch (error) {
    // A bridge may be there already, though nothing could be connected to it.
    await bed.sweep().catch(() => undefined);
    const lines = (error as Error).message.split("\n");
    return lines.length === 1 ? (lines[0] as string) : `${lines[0]} ${lines.at(-1)}`;
  }
}

/** Gives an engine that reaches no registry the demo's image. */
export async function importImage(engine: Engine, layerFile: string, image: string): Promise<void> {
  const { code, stderr } = await engine.docker(["import", "-c", 'CMD ["sh"]', "-", image], readFileSync(layerFile));
  if (code !== 0) throw new Error(`docker import: ${stderr}`);
}

/** This machine may have a way to somebody else at these addresses. */
async function refuseTakenAddresses(): Promise<void> {
  const { subnet, bridge } = bed.network;
  const routes = (await runOrThrow("ip", ["-4", "route", "show", "match", subnet])).split("\n");
  const taken = routes.find((route) => route !== "" && !route.startsWith("default ") && !route.includes(` dev ${bridge} `));
  if (taken) throw new Error(`their addresses (${subnet}) are in use: ${taken.trim()}`);
}
