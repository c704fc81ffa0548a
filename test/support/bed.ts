import { Bed } from "../../scripts/bed";

export type { Place } from "../../scripts/bed";

/** The bed of the tests. */
export const bed = new Bed({ name: "docker-server-bed", prefix: "dsbed", net: "10.99.0" });

/** Holds every file of the test bed; removed with its last place. */
export const BED = bed.folder;

/** The address of the machine itself (its root namespace) on the network of the simulated hosts. */
export const ROOT_ADDRESS = bed.network.rootAddress;

/** See `Bed`. */
export const takePlace = (kind: string) => bed.takePlace(kind);

/** Runs `work` while no other process of this machine changes the test bed. Not reentrant. */
export const withBedLock = <T>(work: () => T | Promise<T>): Promise<T> => bed.withLock(work);
