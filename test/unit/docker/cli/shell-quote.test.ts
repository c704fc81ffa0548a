import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { dockerCommand } from "docker-cli-js";
import fc from "fast-check";
import { commandLine, quote } from "../../../../lib/docker/cli/shell-quote";
import { AppError } from "../../../../lib/errors";

/** Runs lines in one shell; returns the arguments that each has for its command. */
function throughShell(shell: string, lines: string[]): string[][] {
  const script = lines.map((line) => `set -- ${line}\nprintf '%s\\0' "$#" "$@"\n`).join("");
  const { stdout, status } = spawnSync(shell, ["-c", script], { encoding: "utf8" });
  expect(status).toBe(0);
  const words = stdout.split("\0").slice(0, -1);
  const found: string[][] = [];
  while (words.length > 0) found.push(words.splice(0, Number(words.shift())));
  return found;
}

/** Runs a line with this standard input; returns what its command reads. */
function stdinThroughShell(line: string, input: string): string {
  const { stdout, status } = spawnSync("/bin/sh", ["-c", `cat - ${line}`], { input, encoding: "utf8", maxBuffer: 50e6 });
  expect(status).toBe(0);
  return stdout;
}

const HOSTILE = [
  ..."a '\"`$\\;&|<>(){}[]*?~#!=-\n\r\té𝄞\u0001\u007f",
  " inspect ",
  " ps ",
  " images ",
  " network ls ",
  "$(touch pwned)",
  "`id`",
  "$HOME",
  "<<EOF",
  "DOCKER_STDIN",
  "\nDOCKER_STDIN\n",
  "--privileged",
  "'\\''",
  "$'x'",
  "%s",
  "\\0",
  "\\n",
  "!!",
];
const hostile = fc
  .array(fc.oneof(fc.constantFrom(...HOSTILE), fc.string({ unit: "binary" })), { maxLength: 8 })
  .map((parts) => parts.join(""));
// An unpaired surrogate can't be encoded as UTF-8.
const argument = hostile.map((text) => Buffer.from(text.replaceAll("\0", "")).toString());

// docker-cli-js parses the output of lines that match one of these, and may throw.
const PARSED = / (?:build|run|ps|images|network ls|inspect|info|search|login|pull|push) /;

test.each(["/bin/sh", "/bin/bash"])("%s receives any arguments unchanged", (shell) => {
  fc.assert(
    fc.property(fc.array(fc.array(argument, { minLength: 1, maxLength: 6 }), { minLength: 10, maxLength: 10 }), (lists) => {
      const lines = lists.map((args) => commandLine(args));
      expect(throughShell(shell, lines)).toEqual(lists);
    }),
    { numRuns: 20 },
  );
});

test.each(HOSTILE)("an argument with %j remains one unchanged argument", (text) => {
  const lists = [text, `-${text}`, `a${text}b`, `${text}${text}`].map((arg) => [arg, "x"]);
  const lines = lists.map((args) => commandLine(args));
  expect(throughShell("/bin/sh", lines)).toEqual(lists);
});

test("no line matches a command whose output docker-cli-js parses", () => {
  fc.assert(
    fc.property(fc.array(argument, { minLength: 1, maxLength: 6 }), fc.boolean(), (args, stdin) => {
      // The text that it matches: "docker ", the options of a machine (none), the line, a space.
      expect(`docker  ${commandLine(args, { stdin })} `).not.toMatch(PARSED);
    }),
  );
});

test("docker-cli-js parses such lines without our quoting", async () => {
  const folder = mkdtempSync(path.join(tmpdir(), "docker-server-shell-"));
  writeFileSync(path.join(folder, "docker"), '#!/bin/sh\nshift\necho "$@"\n', { mode: 0o755 });
  const env = { PATH: folder };
  const words = "a inspect b ps c images d info e search f network ls g";
  expect(await dockerCommand(commandLine(["echo", words]), { echo: false, env })).toEqual({
    command: expect.any(String),
    raw: `${words}\n`,
  });
  await expect(dockerCommand(`echo '${words}'`, { echo: false, env })).rejects.toThrow();
  rmSync(folder, { recursive: true });
});

test("a NUL character is refused at any position", () => {
  for (const args of [["a\0b"], ["a", "\0"], ["\0a", "b"]]) {
    expect(() => commandLine(args)).toThrow(expect.objectContaining({ kind: "validation_error", status: 400 }));
  }
  expect(() => quote("\0")).toThrow(AppError);
});

test("a line longer than the kernel accepts is refused, and the longest accepted one runs", () => {
  expect(() => commandLine(["a".repeat(120_000)])).toThrow(expect.objectContaining({ code: "COMMAND_TOO_LONG", status: 413 }));
  // The limit counts bytes after quoting.
  expect(() => commandLine(["é".repeat(60_000)])).toThrow(expect.objectContaining({ status: 413 }));
  expect(() => commandLine(["'".repeat(30_001)])).toThrow(expect.objectContaining({ status: 413 }));
  const longest = ["a".repeat(119_998)];
  expect(throughShell("/bin/sh", [commandLine(longest)])).toEqual([longest]);
});

test("the command reads its stdin unchanged except for trailing line breaks", () => {
  fc.assert(
    fc.property(argument, (input) => {
      const line = commandLine([], { stdin: true });
      expect(stdinThroughShell(line, input)).toBe(`${input.replace(/\n+$/, "")}\n`);
    }),
    { numRuns: 50 },
  );
});

test.each(["DOCKER_STDIN", "a\nDOCKER_STDIN\nb", "$(x) `x` $HOME \\ \\\\ \\$x", "A=1\nB='\"\n", "\n\na", `X=${"x".repeat(1_000_000)}`])(
  "stdin %.40j passes through unread",
  (input) => {
    expect(stdinThroughShell(commandLine([], { stdin: true }), input)).toBe(`${input.replace(/\n+$/, "")}\n`);
  },
);

test("a command that ends without reading its stdin causes no EPIPE", () => {
  const line = commandLine(["x"], { stdin: true });
  const { error, status } = spawnSync("/bin/sh", ["-c", `true ${line}`], { input: "A=1\n".repeat(500_000) });
  expect([error, status]).toEqual([undefined, 0]);
});
