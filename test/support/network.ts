import { bed } from "./bed";

/** The network of the simulated hosts; host N has the address 10.99.0.N. */
export const SUBNET = bed.network.subnet;

/** The address of the machine itself (its root namespace) on that network. */
export const ROOT_ADDRESS = bed.network.rootAddress;
