/** Words by which a shell joins and redirects commands. */
const OPERATORS = new Set(["&&", "||", "|", ";", "&", "<", ">", ">>", "2>", "2>&1"]);

/** @returns a sentence if one of the words is meant for a shell, which doesn't get to see it */
export function commandWarnings(words: readonly string[]): string[] {
  const ofFind = words.includes("-exec");
  const operator =
    words.find((word) => OPERATORS.has(word) && !(ofFind && word === ";")) ?? (words.some((word) => /.;$/.test(word)) ? ";" : undefined);
  if (operator === undefined) return [];
  return [`no shell runs the command, which gets ${operator} as it is: for a shell give ["sh", "-c", "…"]`];
}

/** The field `warnings` of an answer, which it has only if there are any. */
export function warningFields(warnings: string[]): { warnings?: string[] } {
  return warnings.length > 0 ? { warnings } : {};
}
