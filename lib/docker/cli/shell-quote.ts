import { AppError } from "../../errors";

/** The whole line is one argument of `sh -c`, for which Linux allows 128 KiB (MAX_ARG_STRLEN). */
const MAX_LINE_BYTES = 120_000;

/**
 * Joins arguments into the command line that docker-cli-js gives to a shell. Nothing else in this program builds one.
 * @param args arguments after `docker`
 * @param options.stdin whether the command reads its standard input
 * @returns the line, every argument quoted
 * @throws AppError COMMAND_TOO_LONG past 120,000 bytes; INVALID_INPUT for a NUL character
 */
export function commandLine(args: readonly string[], options: { stdin?: boolean } = {}): string {
  const line = args.map(quote).join(" ");
  if (Buffer.byteLength(line) > MAX_LINE_BYTES) throw new AppError("COMMAND_TOO_LONG");
  // `cat` reads all of stdin before docker starts, so a docker that exits early can't break our pipe (EPIPE). The content stays out of
  // the process list, and /dev/stdin can be opened: Node's stdin for a child is a socket, the here-document's is not.
  return options.stdin ? `${line} <<DOCKER_STDIN\n$(cat)\nDOCKER_STDIN` : line;
}

/**
 * Quotes one argument for a POSIX shell.
 * @throws AppError INVALID_INPUT for a NUL character
 */
export function quote(argument: string): string {
  if (argument.includes("\0")) throw new AppError("INVALID_INPUT", { message: "A NUL character can't be part of a command" });
  // docker-cli-js parses the output of any line that contains " inspect " or " ps " as that command's output. Closing and reopening the
  // quote before each space leaves the argument unchanged and breaks up such words.
  return `'${argument.replaceAll("'", "'\\''").replaceAll(" ", "'' ")}'`;
}
