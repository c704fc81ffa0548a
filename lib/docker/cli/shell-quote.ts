import { AppError } from "../../errors";

// The kernel takes one argument of at most 128 KiB, and the whole line is one argument of `sh -c`.
const MAX_LINE_BYTES = 120_000;

/**
 * Turns arguments into the one string that docker-cli-js gives to a shell. The only place where that happens.
 * @param args arguments after `docker`
 * @param options.stdin whether the command reads its standard input
 * @returns the line, in which no character of an argument means anything to a shell
 * @throws AppError COMMAND_TOO_LONG past 120,000 bytes; INVALID_INPUT for a NUL character
 */
export function commandLine(args: readonly string[], options: { stdin?: boolean } = {}): string {
  const line = args.map(quote).join(" ");
  if (Buffer.byteLength(line) > MAX_LINE_BYTES) throw new AppError("COMMAND_TOO_LONG");
  // `cat` takes in all of stdin before docker starts: a docker that ends early then can't break the pipe of the writer,
  // what it carries stands in no process list, and /dev/stdin is a pipe that can be opened (Node gives a socket).
  return options.stdin ? `${line} <<DOCKER_STDIN\n$(cat)\nDOCKER_STDIN` : line;
}

/**
 * Quotes one argument for a POSIX shell.
 * @throws AppError INVALID_INPUT for a NUL character, which no argument can hold
 */
export function quote(argument: string): string {
  if (argument.includes("\0")) throw new AppError("INVALID_INPUT", { message: "A NUL character can't be part of a command" });
  // Besides the quoting: docker-cli-js takes the output of a line that holds " inspect " or " ps " for that command's.
  // A quote closed and opened again before each space keeps the argument the same and such words apart.
  return `'${argument.replaceAll("'", "'\\''").replaceAll(" ", "'' ")}'`;
}
