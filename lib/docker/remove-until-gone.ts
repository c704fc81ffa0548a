import { setTimeout as sleep } from "node:timers/promises";
import { isNotFound, isUnavailable } from "../errors";

/** Pause between attempts. */
const RETRY_PAUSE_MS = 500;

/** Attempts that the engine may refuse: a file system that was busy for a moment leaves a container dead. */
const MAX_REFUSED = 5;

/**
 * Removes something from the engine. While the engine is unreachable, or says that a removal is under way, which may fail, the removal is
 * tried again, however long that takes, without keeping this process alive. After any other error it is tried a few times more.
 * @param remove one attempt; an object that doesn't exist counts as removed
 * @param onFailure called with the last such error, when no attempt follows
 * @returns after the first attempt; `retries`, if there are any, resolves when they have ended. Neither rejects.
 */
export async function removeUntilGone(
  remove: () => Promise<unknown>,
  onFailure: (error: Error) => void,
): Promise<{ retries?: Promise<void> }> {
  let refused = 0;
  const attempt = async (): Promise<boolean> => {
    try {
      await remove();
    } catch (error) {
      if (isUnavailable(error) || isBeingRemoved(error)) return false;
      if (isNotFound(error)) return true;
      refused += 1;
      if (refused < MAX_REFUSED) return false;
      onFailure(error as Error);
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
