export { hasEnded } from "../../scripts/bed-traces";
