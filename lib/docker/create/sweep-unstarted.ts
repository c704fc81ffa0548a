import type { Logger } from "../../support/logger";
import type { ContainerList } from "../containers/container-list";
import type { Runner } from "./runner";

/**
 * The label of what a run makes, its name as the value: it is started right after, so one that is still only created was left
 * behind. What has another name has the label from an image that was committed of it.
 */
export const RUN_LABEL = "docker-server.run";
/** Longer (ms) than a create and its start can take while anybody waits for them. */
const LEFT_BEHIND = 120_000;
const INTERVAL = 60_000;

/**
 * Removes what a server that was killed between create and start has left: at once, and every minute.
 * @returns ends it
 */
export function sweepHalfMade(containers: ContainerList, runner: Runner, log: Logger): () => void {
  const sweep = async () => {
    const { containers: all } = await containers.read();
    const left = all.filter(
      ({ state, name, labels, created }) =>
        // Whatever the two clocks say: what is being made here isn't left.
        state === "created" && labels[RUN_LABEL] === name && !runner.isMaking(name) && Date.now() - Date.parse(created) > LEFT_BEHIND,
    );
    for (const { id, name } of left) {
      await runner.remove(id).then(
        () => log.info("a container that was created and never started is removed", { id, name }),
        // The others go all the same.
        (error: Error) => log.warn("a container that was created and never started can't be removed", { id, name, reason: error.message }),
      );
    }
  };
  return sweepRegularly(sweep, log);
}

/**
 * Sweeps at once, and every minute.
 * @returns ends it
 */
export function sweepRegularly(sweep: () => Promise<void>, log: Logger): () => void {
  const tried = () => void sweep().catch((error: Error) => log.debug("nothing could be swept", { reason: error.message }));
  tried();
  const timer = setInterval(tried, INTERVAL).unref();
  return () => clearInterval(timer);
}
