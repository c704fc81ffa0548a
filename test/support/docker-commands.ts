import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { type CommandResult, run } from "../../scripts/process";

/** One command of the docker CLI, and what it reads. `NAME` stands for a name that differs where the command runs twice. */
export interface DockerCommand {
  args: string;
  /** on standard input, through a pipe */
  input?: string;
  /** gives the command a terminal of 33 rows and 101 columns; its input, if any, has no end then */
  terminal?: boolean;
  /** its output has values of the moment: only its exit code is compared */
  varies?: boolean;
  /** A pool of several nodes answers for all of them: it is compared on one node only. */
  ofOneNode?: boolean;
}

/**
 * Runs `docker -H HOST …` with an empty configuration. The arguments are words of a shell.
 * @param options.config folder of another configuration
 * @param options.cli the program, the one in the PATH by default
 */
export function dockerAt(
  host: string,
  { args, input, terminal }: DockerCommand,
  name: string,
  { config = EMPTY_CONFIG, cli = "docker" }: { config?: string; cli?: string } = {},
): Promise<CommandResult> {
  const command = `${cli} -H ${host} ${args.replaceAll("NAME", name)}`;
  const line = terminal ? `script -qefc '${`stty rows 33 cols 101; ${command}`.replaceAll("'", `'\\''`)}' /dev/null` : command;
  const env = { PATH: process.env.PATH, HOME: config, DOCKER_CONFIG: config, DOCKER_BUILDKIT: "0", TMPDIR: tmpdir() };
  if (input === undefined) return run("sh", ["-c", `${line} < /dev/null`], { env });
  // A key that a terminal gets together with the end of its input is none of its own to the CLI.
  return run("sh", ["-c", line], { env, input, inputStaysOpen: terminal ?? false });
}

/** What the CLI leaves behind: removed after the tests of the file, or with the process of a bench. */
export const cliFolder = mkdtempSync(path.join(tmpdir(), "docker-server-cli-"));
const removeCliFolder = () => rmSync(cliFolder, { recursive: true, force: true });
if (typeof afterAll === "function") afterAll(removeCliFolder);
else process.once("exit", removeCliFolder);

const EMPTY_CONFIG = mkdtempSync(path.join(cliFolder, "empty-"));

/** A configuration of the CLI that sends headers with every request. */
export function configWithHeaders(headers: Record<string, string>): string {
  const folder = mkdtempSync(path.join(cliFolder, "headers-"));
  writeFileSync(path.join(folder, "config.json"), JSON.stringify({ HttpHeaders: headers }));
  return folder;
}

/** An output without what differs between two runs of one command: names, ids, times, sizes of the moment. */
export function normalized(text: string, name: string): string {
  return (
    text
      .replaceAll(name, "NAME")
      .replace(/\b[0-9a-f]{64}\b/g, "ID")
      .replace(/\b[0-9a-f]{12}\b/g, "SHORT")
      .replace(/\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d[.\d]*(?:Z| [+-]\d{4}(?: UTC)?|[+-]\d\d:\d\d)?/g, "TIME")
      .replace(/(?:Less than a second|About a minute|\d+ (?:seconds?|minutes?)) ago/g, "AGO")
      .replace(/Up (?:Less than a second|About a minute|\d+ \w+)/g, "UP")
      .replace(/172\.\d+\.\d+\.\d+(?:\/\d+)?/g, "ADDRESS")
      // The pool asks an engine by id, so texts of the engine that repeat the name asked for have the id.
      .replace("in container ID", "in container NAME")
      // The CLI 20.10 cancels its wait when a start fails, and writes this if the wait has not ended before.
      .replace(/^time=.* msg="error waiting for container: context canceled"\n/m, "")
      // A terminal echoes the end of its input at any place.
      .replace(/\^@|[\r\0]/g, "")
  );
}
