import { type Engine, startBedEngine } from "../../scripts/bed-engine";
import { bed } from "./bed";

export type { Engine } from "../../scripts/bed-engine";

/**
 * Starts an engine of the test bed; needs root on Linux. `name` is only for people; `args` are further arguments of
 * dockerd. Several may run at once, in several processes. Throws an Error with dockerd's last log lines if it cannot start.
 */
export const startEngine = (options: { name: string; args?: string[] }): Promise<Engine> => startBedEngine(bed, options);
