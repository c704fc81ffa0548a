import yargs from "yargs";
import { nearestName } from "../lib/support/nearest";
import { version } from "../package.json";
import { parseValue, type Setting } from "./setting";
import { SETTINGS } from "./settings";

const USAGE = `$0 [options]        runs the server
$0 check [options]  tells whether this machine has all that the server needs; the options are those of the server
$0 token ...        makes and narrows tokens

Runs containers on this machine, and on the others of its cluster, over one HTTP API.`;

const COMMANDS = ["check", "token"];
const UNKNOWN_WORD = "Unknown word";
const MAX_HINTS = 4;

/**
 * Reads the command line; prints --help and --version.
 * @param argv arguments after the program's name
 * @param failure creates the error to throw from a message
 * @returns the given values by setting name, undefined where absent; null when --help or --version was answered
 */
export async function readFlags(argv: string[], failure: (message: string) => Error): Promise<Record<string, unknown> | null> {
  const parser = yargs()
    .scriptName("docker-server")
    .usage(USAGE)
    .parserConfiguration({ "camel-case-expansion": false, "dot-notation": false, "parse-numbers": false })
    .strict()
    .demandCommand(0, 0, "", UNKNOWN_WORD)
    .version(version)
    .alias({ h: "help", v: "version" })
    .wrap(110)
    .exitProcess(false)
    .fail((message, error) => {
      const [line = ""] = (error?.message ?? message).split("\n");
      throw failure(line === UNKNOWN_WORD ? wordMessage(argv) : withHint(line));
    });
  for (const [name, row] of Object.entries(SETTINGS) as [string, Setting][]) parser.option(name, optionOf(name, row));
  const given = await parser.parse(argv.map((argument) => normalizeBoolean(argument, failure)));
  if (given.help || given.version) return null;
  return withoutAliases(given);
}

/** What is wrong with arguments that have a word which no option takes. The word itself isn't named: it may be a secret. */
function wordMessage(argv: string[]): string {
  const [first = ""] = argv;
  const command = first.startsWith("-") ? undefined : nearestName(first, COMMANDS);
  if (command !== undefined) return `Unknown command (did you mean docker-server ${command}?)`;
  const late = COMMANDS.find((each) => argv.indexOf(each) > 0);
  if (late !== undefined) return `A command comes first: docker-server ${late} [options]`;
  const flag = argv.find((each, index) => isFlagOf("boolean", each) && !(argv[index + 1] ?? "-").startsWith("-"));
  if (flag !== undefined) return `${flag} takes a value only behind an equals sign: ${flag}=true or ${flag}=false`;
  const list = argv.find((each, index) => isFlagOf("list", each) && [1, 2].every((next) => !(argv[index + next] ?? "-").startsWith("-")));
  if (list !== undefined) return `${list} takes one value: several are separated by commas, or given with ${list} each`;
  return `Unknown argument: besides the commands ${COMMANDS.join(" and ")} this program takes options only, each with one value`;
}

const isFlagOf = (type: Setting["type"], argument: string) => argument.startsWith("--") && settingOf(argument.slice(2))?.type === type;

/** The row of a flag, in either spelling, without the dashes before it. */
const settingOf = (flag: string) => (SETTINGS as Record<string, Setting>)[flag.replaceAll("-", "_")];

/** Names the option that was probably meant by one that doesn't exist. */
function withHint(message: string): string {
  const [, given] = /^Unknown argument: ([^,\s]+)$/.exec(message) ?? [];
  if (given === "check") return `${message} (did you mean docker-server check?)`;
  return given === undefined ? message : message + (hintOf(given, "--") || "; see docker-server --help");
}

/** Words of other programs for settings of this one. */
const FOREIGN_NAMES = new Map([
  ["ssl", ["https"]],
  ["tls", ["https"]],
  ["store", ["folder", "s3", "redis"]],
  ["drain", ["accept"]],
]);

/**
 * Names the settings that were probably meant by one that doesn't exist: a similar one, or those that have it as a word of theirs.
 * @param prefix of the names that are proposed
 */
export function hintOf(given: string, prefix = ""): string {
  const word = given.replaceAll("-", "_").toLowerCase();
  const names = Object.keys(SETTINGS);
  const withWord = FOREIGN_NAMES.get(word) ?? names.filter((name) => name.split("_").includes(word));
  const nearest = nearestName(word, names);
  const found = withWord.length > 0 ? withWord.slice(0, MAX_HINTS) : nearest === undefined ? [] : [nearest];
  return found.length === 0 ? "" : ` (did you mean ${found.map((name) => prefix + name).join(" or ")}?)`;
}

// yargs silently reads `--https=yes`, and any value but `true`, as false.
function normalizeBoolean(argument: string, failure: (message: string) => Error): string {
  const [, flag = "", value = ""] = /^--([^=]+)=(.*)$/s.exec(argument) ?? [];
  const row = settingOf(flag);
  if (row?.type !== "boolean") return argument;
  try {
    return `--${flag}=${parseValue(row, value)}`;
  } catch (error) {
    throw failure(`--${flag} ${(error as Error).message} (got ${JSON.stringify(value)})`);
  }
}

function optionOf(name: string, row: Setting) {
  const spellings = [name, ...(row.aliases ?? [])].flatMap((each) => [each, each.replaceAll("_", "-")]);
  return {
    type: row.type === "boolean" ? ("boolean" as const) : ("string" as const),
    requiresArg: row.type !== "boolean",
    alias: [...new Set(spellings)].filter((each) => each !== name),
    group: `${row.group}:`,
    describe: row.help,
    // For --help only: a real default in yargs would override the environment.
    defaultDescription: row.default === null || (Array.isArray(row.default) && row.default.length === 0) ? undefined : String(row.default),
  };
}

function withoutAliases(given: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.keys(SETTINGS).map((name) => [name, given[name]]));
}
