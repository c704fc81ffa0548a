/** What a backslash takes its meaning from between double quotes; before anything else there it is a backslash. */
const ESCAPED_IN_QUOTES = '$`"\\';

/**
 * Splits a command line into words as a POSIX shell would: quotes and backslashes count, nothing is expanded or run.
 * @throws Error for a quote or a backslash that is left open
 */
export function splitShellWords(text: string): string[] {
  const words: string[] = [];
  let word: string | undefined;
  let quote = "";
  for (let at = 0; at < text.length; at += 1) {
    const char = text[at] as string;
    if (char === "\\" && quote !== "'") {
      at += 1;
      const next = text[at];
      if (next === undefined) throw new Error("it ends in a backslash");
      if (next === "\n") continue; // the line goes on
      word = `${word ?? ""}${quote !== "" && !ESCAPED_IN_QUOTES.includes(next) ? "\\" : ""}${next}`;
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
