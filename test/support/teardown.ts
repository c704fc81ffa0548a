import { sweepBed } from "./bed";

/** Ends whatever a suite has left of the test bed. */
export default sweepBed;
