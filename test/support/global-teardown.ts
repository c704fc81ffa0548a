import { bed } from "./bed";

/** Removes the engines that the suites leased, and whatever a suite has left of the test bed. */
export default () => bed.removeHostsOf(process.pid);
