/** Between double quotes a backslash escapes only these characters; before any other it stands for itself. */
const ESCAPABLE_IN_QUOTES = '$`"\\';

/**
 * Splits a command line into words as a POSIX shell would, by quotes and backslashes. Nothing is expanded or run.
 * @throws Error for an unclosed quote or a trailing backslash
 */
export function splitShellWords(text: string): string[] {
  const words: string[] = [];
  let word: string | undefined;
  let quote = "";
  for (let index = 0; index < text.length; index += 1) {
    const char = text[index] as string;
    if (char === "\\" && quote !== "'") {
      index += 1;
      const next = text[index];
      if (next === undefined) throw new Error("it ends in a backslash");
      if (next === "\n") continue; // line continuation
      word = `${word ?? ""}${quote !== "" && !ESCAPABLE_IN_QUOTES.includes(next) ? "\\" : ""}${next}`;
    } else if (quote !== "") {
      if (char === quote) quote = "";
      else word += char;
    } else if (char === "'" || char === '"') {
      quote = char;
      word ??= "";
    } else if (/[ \t\r\n]/.test(char)) {
      if (word !== undefined) words.push(word);
      word = undefined;
    } else {
      word = (word ?? "") + char;
    }
  }
  if (quote !== "") throw new Error("a quote is left open");
  if (word !== undefined) words.push(word);
  return words;
}
