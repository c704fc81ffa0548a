/**
 * Waits for a promise, but not longer than a signal allows.
 * @returns whether it settled (either way) before the abort; a rejection after the abort is not reported as unhandled
 */
export function settlesBefore(promise: Promise<unknown>, enough: AbortSignal): Promise<boolean> {
  return new Promise((resolve) => {
    const stop = () => resolve(false);
    const done = () => {
      enough.removeEventListener("abort", stop);
      resolve(true);
    };
    promise.then(done, done);
    if (enough.aborted) stop();
    else enough.addEventListener("abort", stop, { once: true });
  });
}
