/** Words by which a shell joins and redirects commands. */
const OPERATORS = new Set(["&&", "||", "|", ";", "&", "<", ">", ">>", "2>", "2>&1"]);
/** What a shell would put the value of a variable, or the output of a command in place of. */
const EXPANSION = /\$\w*[A-Za-z_]\w*|\$\{\w+\}|\$\([^)]*\)|`[^`]+`/;
/** What a shell would put the names of files in place of. */
const GLOB = /^(?:[\w./-]*\/)?\*(?:\.\w+)?$/;
/** Such as `-name` and `--include`, which may take such names themselves. */
const NAMED_FLAG = /^--?[a-z]{3}/;
/** Such as `-c`, `-lc`, `-e`, `--eval` and find's `-exec`. */
const SCRIPT_FLAG = /^(?:-\w*[ce]|-exec\w*|--\w*eval|--command)$/;

/** @returns a sentence if one of the words is meant for a shell, which doesn't get to see it */
export function commandWarnings(words: readonly string[]): string[] {
  // After these a word is a script, or the end of one.
  if (words.some((word) => SCRIPT_FLAG.test(word))) return [];
  const operator = words.find((word) => OPERATORS.has(word)) ?? (words.some((word) => /^[^\s;]+;$/.test(word)) ? ";" : undefined);
  // A word with a space was quoted, as awk's programs are.
  const unquoted = words.filter((word, index) => index > 0 && !/\s/.test(word)).join(" ");
  const glob = words.find((word, index) => index > 0 && GLOB.test(word) && !NAMED_FLAG.test(words[index - 1] ?? ""));
  const sign = operator ?? EXPANSION.exec(unquoted)?.[0] ?? glob;
  if (sign === undefined) return [];
  return [`no shell runs the command, which gets ${sign} as it is: for a shell give ["sh", "-c", "…"]`];
}

/** The field `warnings` of an answer, which it has only if there are any. */
export function warningFields(warnings: string[]): { warnings?: string[] } {
  return warnings.length > 0 ? { warnings } : {};
}
