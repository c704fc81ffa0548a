/** Clocks may differ by this: `expires` of tokens and of containers is read by each machine's own clock. */
const MAX_CLOCK_DIFFERENCE_MS = 5000;

/**
 * Tells for people how far two clocks are apart, with a remedy if it is much.
 * @param found what is told before it
 * @param differenceMs NaN if the other clock told no time
 */
export function describeClockDifference(found: string, differenceMs: number): { found: string; remedy?: string } {
  const text = `${found} differs by ${Math.trunc(Math.abs(differenceMs) / 1000)} s`;
  return Math.abs(differenceMs) > MAX_CLOCK_DIFFERENCE_MS
    ? { found: text, remedy: "Let NTP set the clocks of both machines" }
    : { found: text };
}
