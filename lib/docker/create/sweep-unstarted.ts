import type { Logger } from "../../support/logger";
import type { ContainerList } from "../containers/container-list";
import type { NameClaims } from "./name-claims";
import { RUN_LABEL, type Runner } from "./runner";

/** Longer than any request waits for a create and its start. */
const MIN_AGE_MS = 120_000;
const SWEEP_INTERVAL_MS = 60_000;

interface Host {
  containers: ContainerList;
  names: NameClaims;
  runner: Runner;
}

/**
 * Removes containers that a killed server created and never started: now and every minute.
 * @returns stops it
 */
export function removeUnstartedContainers({ containers, names, runner }: Host, log: Logger): () => void {
  const sweep = async () => {
    const { containers: all } = await containers.read();
    const leftBehind = all.filter(
      ({ state, name, labels, created }) =>
        // The engine's clock can differ from ours, so a container that is being started here is excluded by its name.
        state === "created" && labels[RUN_LABEL] === name && !names.isClaimed(name) && Date.now() - Date.parse(created) > MIN_AGE_MS,
    );
    for (const { id, name } of leftBehind) {
      await runner.remove(id, { volumes: true }).then(
        () => log.info("Unstarted container removed", { id, name }),
        (error: Error) => log.warn("Unstarted container not removed", { id, name, reason: error.message }),
      );
    }
  };
  return sweepPeriodically(sweep, log);
}

/**
 * Calls `sweep` now and every minute; a failure is logged.
 * @returns stops it
 */
export function sweepPeriodically(sweep: () => Promise<void>, log: Logger): () => void {
  const run = () => void sweep().catch((error: Error) => log.debug("Sweep failed", { reason: error.message }));
  run();
  const timer = setInterval(run, SWEEP_INTERVAL_MS).unref();
  return () => clearInterval(timer);
}
