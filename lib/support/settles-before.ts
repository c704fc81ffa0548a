/**
 * Waits until a promise settles or a signal aborts.
 * @param waitSignal aborted when the caller stops waiting
 * @returns whether the promise settled, either way, before the abort; a rejection after it is not reported as unhandled
 */
export function settlesBefore(promise: Promise<unknown>, waitSignal: AbortSignal): Promise<boolean> {
  return new Promise((resolve) => {
    const onAbort = () => resolve(false);
    const onSettled = () => {
      waitSignal.removeEventListener("abort", onAbort);
      resolve(true);
    };
    promise.then(onSettled, onSettled);
    if (waitSignal.aborted) onAbort();
    else waitSignal.addEventListener("abort", onAbort, { once: true });
  });
}
