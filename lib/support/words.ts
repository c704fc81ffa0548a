import { split } from "shlex";

/**
 * Splits a command line into words as a POSIX shell would: quotes and backslashes count, nothing is expanded or run.
 * @throws Error for a quote or a backslash that is left open
 */
export function splitWords(text: string): string[] {
  return split(text);
}
