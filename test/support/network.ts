import { bed } from "./bed";

/** The address of the machine itself (its root namespace) on that network. */
export const ROOT_ADDRESS = bed.network.rootAddress;
