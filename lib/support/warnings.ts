import { AppError } from "../errors";

/** Words by which a shell joins and redirects commands. */
const OPERATORS = new Set(["&&", "||", "|", ";", "&", "<", ">", ">>", "2>", "2>&1"]);
/** In place of these a shell puts the value of a variable, or the output of a command. */
const VARIABLE = /(?<![\w$])\$(?:[A-Z_][A-Z0-9_]*\b|\{\w+\})/;
const OUTPUTS: [pattern: RegExp, shown: string][] = [
  [/\$\([^()]*\)/, "$(…)"],
  [/`[^`]+`/, "`…`"],
];
/** Commands whose last words are files, in place of which a shell puts those that a word like `*.log` fits. */
const FILE_COMMANDS = new Set(["cat", "chmod", "chown", "cp", "du", "ls", "mv", "rm"]);
const GLOB = /^(?:[\w./-]*\/)?\*(?:\.\w+)?$/;
/** Such as `-c`, `-lc`, `-e`, `--eval` and find's `-exec`. */
const SCRIPT_FLAG = /^(?:-\w*[ce]|-exec\w*|--\w*eval|--command)$/;
/** What is read of a long command. */
const MAX_READ_LENGTH = 4096;

/** @returns a sentence if one of the words is meant for a shell, which doesn't get to see it */
export function commandWarnings(words: readonly string[]): string[] {
  // After these a word is a script, or the end of one.
  if (words.some((word) => SCRIPT_FLAG.test(word))) return [];
  const operator = words.find((word) => OPERATORS.has(word)) ?? (words.some((word) => /^[^\s;]+;$/.test(word)) ? ";" : undefined);
  const sign = operator ?? expansionIn(words) ?? globIn(words);
  if (sign === undefined) return [];
  return [`no shell runs the command, which gets ${sign} as it is: for a shell give ["sh", "-c", "…"]`];
}

function expansionIn(words: readonly string[]): string | undefined {
  // A word with a space was quoted, as awk's programs are.
  const unquoted = words
    .slice(1, MAX_READ_LENGTH)
    .filter((word) => !/\s/.test(word))
    .join(" ")
    .slice(0, MAX_READ_LENGTH);
  return VARIABLE.exec(unquoted)?.[0] ?? OUTPUTS.find(([pattern]) => pattern.test(unquoted))?.[1];
}

function globIn([command = "", ...words]: readonly string[]): string | undefined {
  return FILE_COMMANDS.has(command) ? words.find((word) => GLOB.test(word)) : undefined;
}

/** The field `warnings` of an answer, which it has only if there are any. */
export function warningFields(warnings: string[]): { warnings?: string[] } {
  return warnings.length > 0 ? { warnings } : {};
}

/** An error of a container that could not be started, with the warnings that may tell why. */
export function withWarnings(error: unknown, warnings: string[]): unknown {
  if (warnings.length === 0 || !(error instanceof AppError) || error.code !== "INVALID_SPEC") return error;
  const { code, message, details, cause } = error;
  return new AppError(code, { message: [message, ...warnings].join("; "), details, cause });
}
