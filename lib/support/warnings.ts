/** Words by which a shell joins and redirects commands. */
const OPERATORS = new Set(["&&", "||", "|", ";", "&", "<", ">", ">>", "2>", "2>&1"]);
/** Such as `-c`, `-lc`, `-e`, `--eval` and find's `-exec`. */
const SCRIPT_FLAG = /^(?:-\w*[ce]|-exec\w*|--\w*eval|--command)$/;

/** @returns a sentence if one of the words is meant for a shell, which doesn't get to see it */
export function commandWarnings(words: readonly string[]): string[] {
  // After these a word is a script, or the end of one.
  if (words.some((word) => SCRIPT_FLAG.test(word))) return [];
  const operator = words.find((word) => OPERATORS.has(word)) ?? (words.some((word) => /^[^\s;]+;$/.test(word)) ? ";" : undefined);
  if (operator === undefined) return [];
  return [`no shell runs the command, which gets ${operator} as it is: for a shell give ["sh", "-c", "…"]`];
}

/** The field `warnings` of an answer, which it has only if there are any. */
export function warningFields(warnings: string[]): { warnings?: string[] } {
  return warnings.length > 0 ? { warnings } : {};
}
