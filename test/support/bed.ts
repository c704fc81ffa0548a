import { Bed } from "../../scripts/bed";

export type { Place } from "../../scripts/bed";

/** The tests' own. */
export const bed = new Bed({ name: "docker-server-bed", prefix: "dsbed", net: "10.99.0" });

/** Everything the test bed writes lies here. It goes with the last place in it. */
export const BED = bed.folder;

/** See `Bed`. */
export const takePlace = (kind: string) => bed.takePlace(kind);
export const sweepBed = () => bed.sweep();
