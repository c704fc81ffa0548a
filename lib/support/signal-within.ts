/**
 * The signal of an operation that ends with another one, or after a time.
 * @param ms milliseconds until it aborts
 * @param signal aborts it sooner
 */
export function signalWithin(ms: number, signal: AbortSignal): AbortSignal {
  // Node.js 20 collects an AbortSignal.timeout that only AbortSignal.any knows of, and then neither aborts any more.
  const late = new AbortController();
  const timer = setTimeout(() => late.abort(), ms);
  timer.unref();
  const either = AbortSignal.any([signal, late.signal]);
  either.addEventListener("abort", () => clearTimeout(timer));
  return either;
}
