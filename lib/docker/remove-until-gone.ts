import { setTimeout as sleep } from "node:timers/promises";
import { isNotFound, isUnavailable } from "../errors";

/** Pause between attempts while the engine is unreachable. */
const RETRY_PAUSE_MS = 500;

/**
 * Removes something from the engine. While the engine is unreachable the removal is tried again, however long that takes, without keeping
 * this process alive.
 * @param remove one attempt; an object that doesn't exist, or is being removed already, counts as removed
 * @param onFailure called with any other error, which ends the attempts
 * @returns after the first attempt; `retries`, if there are any, resolves when they have ended. Neither rejects.
 */
export async function removeUntilGone(
  remove: () => Promise<unknown>,
  onFailure: (error: Error) => void,
): Promise<{ retries?: Promise<void> }> {
  const attempt = async (): Promise<boolean> => {
    try {
      await remove();
    } catch (error) {
      if (isUnavailable(error)) return false;
      if (!isNotFound(error) && !isBeingRemoved(error)) onFailure(error as Error);
    }
    return true;
  };
  const retry = async () => {
    do await sleep(RETRY_PAUSE_MS, undefined, { ref: false });
    while (!(await attempt()));
  };
  return (await attempt()) ? {} : { retries: retry() };
}

/** Whether the engine refused a removal because it is under way, as with `docker run --rm`. */
export function isBeingRemoved(error: unknown): boolean {
  return error instanceof Error && /already in progress/i.test(error.message);
}
