import type { Logger } from "../../support/logger";
import type { ContainerList } from "../containers/container-list";
import { RUN_LABEL, type Runner } from "./runner";

/** Longer (ms) than a create and its start can take while anybody waits for them. */
const MIN_AGE_MS = 120_000;
const SWEEP_INTERVAL_MS = 60_000;

/**
 * Removes what a server that was killed between create and start has left: at once, and every minute.
 * @returns ends it
 */
export function removeUnstartedContainers(containers: ContainerList, runner: Runner, log: Logger): () => void {
  const sweep = async () => {
    const { containers: all } = await containers.read();
    const left = all.filter(
      ({ state, name, labels, created }) =>
        // Whatever the two clocks say: what is being made here isn't left.
        state === "created" && labels[RUN_LABEL] === name && !runner.isStarting(name) && Date.now() - Date.parse(created) > MIN_AGE_MS,
    );
    for (const { id, name } of left) {
      await runner.remove(id).then(
        () => log.info("a container that was created and never started is removed", { id, name }),
        // The others go all the same.
        (error: Error) => log.warn("a container that was created and never started can't be removed", { id, name, reason: error.message }),
      );
    }
  };
  return sweepPeriodically(sweep, log);
}

/**
 * Sweeps at once, and every minute.
 * @returns ends it
 */
export function sweepPeriodically(sweep: () => Promise<void>, log: Logger): () => void {
  const tried = () => void sweep().catch((error: Error) => log.debug("nothing could be swept", { reason: error.message }));
  tried();
  const timer = setInterval(tried, SWEEP_INTERVAL_MS).unref();
  return () => clearInterval(timer);
}
