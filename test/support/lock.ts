import { bed } from "./bed";

/** Runs `work` while no other process of this machine changes the test bed. Not reentrant. */
export const withBedLock = <T>(work: () => T | Promise<T>): Promise<T> => bed.withLock(work);
