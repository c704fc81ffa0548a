import { spawnSync } from "node:child_process";
import fc from "fast-check";
import { splitShellWords } from "../../../lib/support/shell-words";

/** Splits texts by one /bin/sh; undefined if that reports a syntax error. */
function splitByShell(texts: string[]): string[][] | undefined {
  const END = "\x01";
  const script = texts.map((text) => `for word in ${text}\ndo printf '%s\\0' "$word"; done; printf '${END}'\n`).join("");
  const { stdout, status } = spawnSync("/bin/sh", ["-c", `set -f; ${script}`], { encoding: "utf8" });
  if (status !== 0) return undefined;
  const ends = stdout.split(END).slice(0, -1);
  return ends.map((words) => words.split("\0").slice(0, -1));
}

const doubleQuoted = (text: string) => `"${text}"`;

describe("splitShellWords", () => {
  test.each([
    ["redis-server --save 60 1", ["redis-server", "--save", "60", "1"]],
    ["  a \t b\n c ", ["a", "b", "c"]],
    ["", []],
    ["   ", []],
    ["''", [""]],
    ['a "" b', ["a", "", "b"]],
    ["sh -c 'echo $HOME; ls | wc'", ["sh", "-c", "echo $HOME; ls | wc"]],
    [`sh -c ${doubleQuoted("echo \\$HOME \\`id\\` \\\\ \\n")}`, ["sh", "-c", "echo $HOME `id` \\ \\n"]],
    ["a\\ b", ["a b"]],
    ["x'y'\"z\"", ["xyz"]],
    ["'it'\\''s'", ["it's"]],
    ['"say \\"hi\\""', ['say "hi"']],
    ["a\\\nb", ["ab"]],
    [doubleQuoted("a\\\nb"), ["ab"]],
    ["'a\\\nb'", ["a\\\nb"]],
    ["$(id) `id` $HOME * ~ a;b|c>d&", ["$(id)", "`id`", "$HOME", "*", "~", "a;b|c>d&"]],
    ["héllo 𝄞\\𝄞", ["héllo", "𝄞𝄞"]],
    ["a\r\nb", ["a", "b"]],
  ])("%j is split into %j", (text, words) => {
    expect(splitShellWords(text)).toEqual(words);
  });

  test.each(["'a", '"a', "a\\", "'a' \"b", '"a\\'])("%j is refused because of an unclosed quote or a trailing backslash", (text) => {
    expect(() => splitShellWords(text)).toThrow(/left open|ends in a backslash/);
  });

  test("quotes, backslashes and blanks are interpreted as by a real shell", () => {
    // Characters that a shell expands, or that end a command, occur only quoted: splitShellWords doesn't interpret them.
    const literal = fc.constantFrom("a", "B", "7", "é", "-", "=", "/", ".");
    const blank = fc.constantFrom(" ", "\t", "  ", "\\\n");
    const escaped = fc.constantFrom("\\'", '\\"', "\\\\", "\\ ", "\\a", "\\$", "\\`", "\\;", "\\\t");
    const single = fc
      .array(fc.constantFrom("a", " ", "\\", '"', "$", "`", "\n", "\\\n", ";"), { maxLength: 5 })
      .map((parts) => `'${parts.join("")}'`);
    const inDouble = fc.constantFrom("a", " ", "'", "\n", ";", '\\"', "\\\\", "\\$", "\\`", "\\a", "\\'", "\\\n", "\\ ", "*");
    const quoted = fc.array(inDouble, { maxLength: 5 }).map((parts) => doubleQuoted(parts.join("")));
    const text = fc.array(fc.oneof(literal, literal, blank, escaped, single, quoted), { maxLength: 12 }).map((parts) => parts.join(""));
    fc.assert(
      fc.property(fc.array(text, { minLength: 10, maxLength: 10 }), (lines) => {
        expect(lines.map(splitShellWords)).toEqual(splitByShell(lines));
      }),
      { numRuns: 40 },
    );
  });

  test("any text is split or refused, and the words contain no other characters", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), (text) => {
        let words: string[];
        try {
          words = splitShellWords(text);
        } catch (error) {
          expect(text).toMatch(/['"\\]/);
          return (error as Error).message.length > 0;
        }
        const remaining = [...text];
        for (const char of words.join("")) expect(remaining.splice(remaining.indexOf(char), 1)).toEqual([char]);
        return true;
      }),
    );
  });

  test("a long text doesn't overflow the stack", () => {
    expect(splitShellWords(`"${'\\"'.repeat(500_000)}" ${"a ".repeat(100_000)}`)).toHaveLength(100_001);
  });
});
