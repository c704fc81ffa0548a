import { bed } from "./bed";

/** Removes the engines that the suites leased, and all places of ended processes. */
export default () => bed.removeHostsOf(process.pid);
