import type { Logger } from "../support/logger";
import type { ContainerList } from "./container-list";
import type { Runner } from "./run";

/** The label of what a run makes: it is started right after, so one that is still only created was left behind. */
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
      ({ state, labels, created }) =>
        state === "created" && labels[RUN_LABEL] !== undefined && Date.now() - Date.parse(created) > LEFT_BEHIND,
    );
    for (const { id, name } of left) {
      await runner.remove(id);
      log.info("a container that was created and never started is removed", { id, name });
    }
  };
  const tried = () => void sweep().catch((error: Error) => log.debug("nothing could be swept", { reason: error.message }));
  tried();
  const timer = setInterval(tried, INTERVAL).unref();
  return () => clearInterval(timer);
}
