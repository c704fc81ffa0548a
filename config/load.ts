import { readFileSync } from "node:fs";
import path from "node:path";
import { parse as parseDotenv } from "dotenv";
import { SettingsError } from "../lib/support/settings-error";
import { hintOf, readFlags } from "./flags";
import { parseValue, type Setting } from "./setting";
import { SETTINGS, type SettingName, type Settings } from "./settings";

export interface LoadedSettings {
  settings: Settings;
  /** Lines to log once the logger is open, such as unknown DS_ variables. */
  warnings: string[];
  /** The environment variables that `docker_cli_env` names, as far as they are set. */
  cliVariables: Record<string, string>;
}

const TABLE = Object.entries(SETTINGS) as [SettingName, Setting][];

/**
 * Reads all settings: flag > environment > .env > config file > default. The only reader of process.env.
 * @param argv arguments after the program's name
 * @param env environment variables
 * @param folder where `.env` is looked for
 * @returns the settings and warnings; null when --help or --version was answered
 * @throws SettingsError for an unknown flag, a bad value or an unreadable file
 */
export async function loadSettings(argv: string[], env = process.env, folder = process.cwd()): Promise<LoadedSettings | null> {
  const flags = await readFlags(argv, (message) => new SettingsError(message));
  if (flags === null) return null;
  const variables = { ...nonEmpty(readDotenv(folder)), ...nonEmpty(env) };
  const configFile = flags.config ?? variables.DS_CONFIG;
  const file = configFile === undefined ? {} : readConfigFile(path.resolve(folder, String(configFile)));
  const settings: Record<string, unknown> = {};
  const labels = new Map<SettingName, string>();
  for (const [name, row] of TABLE) {
    const found = [fromFlag(name, flags), fromEnv(name, row, variables), fromFile(name, file)].find((source) => source !== undefined);
    settings[name] = found === undefined ? row.default : valueFrom(row, found);
    if (found) labels.set(name, found.label);
  }
  // Both name the engine. As with the docker CLI, a flag does so against the environment too.
  if (flags.docker_context !== undefined && flags.docker_host === undefined) settings.docker_host = null;
  const cliNames = [...EVERY_PROGRAM, ...(settings as Settings).docker_cli_env];
  const cliVariables = Object.fromEntries(Object.entries(variables).filter(([name]) => cliNames.includes(name)));
  const withoutEffect = TABLE.flatMap(([name, { needs, env = [] }]) => {
    const label = labels.get(name);
    // Variables of other programs, such as AWS_REGION, are there for these.
    if (label === undefined || needs === undefined || env.includes(label)) return [];
    const any = [needs].flat();
    if (any.some((each) => isGiven(settings[each]))) return [];
    return [`${label} has no effect without ${any.map((each) => `--${each}`).join(" or ")}`];
  });
  const warnings = [
    ...unknownVariables(variables),
    ...withoutEffect,
    ...tokensInOne(settings as Settings, labels.get("token")),
    ...aloneInCluster(settings as Settings, labels),
  ];
  return { settings: settings as Settings, warnings, cliVariables };
}

/** Variables that the docker CLI and ssh get anyway. */
const EVERY_PROGRAM = ["HOME", "PATH", "USER"];

const isGiven = (value: unknown) => (Array.isArray(value) ? value.length > 0 : Boolean(value));

/** Other lists are separated by commas, which a token may have. */
function tokensInOne({ token }: Settings, label = "token"): string[] {
  return token.some((each) => each.includes(","))
    ? [`${label} is one token with a comma in it: for several repeat --token, or use --token_file`]
    : [];
}

/** Why the nodes of other machines may never meet this one. */
function aloneInCluster({ cluster, folder, s3, redis, advertise, port }: Settings, given: ReadonlyMap<SettingName, string>): string[] {
  if (!cluster) return [];
  const hasStore = STORES.some((name) => given.has(name));
  const url = advertise === null ? undefined : new URL(advertise);
  const isLoopback = url !== undefined && LOOPBACK.test(url.hostname);
  const standardPort = url?.protocol === "https:" ? 443 : 80;
  return [
    ...(url?.port === "" && port !== standardPort
      ? [`--advertise ${advertise} names no port, so the other nodes ask port ${standardPort}; this node listens on ${port}`]
      : []),
    ...(s3 !== null && redis !== null ? ["--s3 has no effect beside --redis: a cluster has one store"] : []),
    ...(hasStore ? [] : [`No store is named: nodes meet in ${folder}, which must be shared; name one with --folder, --s3 or --redis`]),
    ...(isLoopback ? [`--advertise ${advertise} leads to the machine that asks: nodes of other machines can't reach this one there`] : []),
  ];
}

const STORES: readonly SettingName[] = ["folder", "s3", "redis"];
const LOOPBACK = /^(localhost|127\.[\d.]+|\[::1\])$/;

interface Source {
  label: string;
  raw: unknown;
}

function fromFlag(name: string, flags: Record<string, unknown>): Source | undefined {
  return flags[name] === undefined ? undefined : { label: `--${name}`, raw: flags[name] };
}

function fromEnv(name: string, row: Setting, variables: Record<string, string>): Source | undefined {
  for (const key of envNames(name, row)) {
    if (variables[key] !== undefined) return { label: key, raw: variables[key] };
  }
  return undefined;
}

function fromFile(name: string, file: Record<string, unknown>): Source | undefined {
  return file[name] === undefined ? undefined : { label: `${name} in the config file`, raw: file[name] };
}

function valueFrom(row: Setting, source: Source): unknown {
  try {
    return parseValue(row, source.raw);
  } catch (error) {
    const given = row.secret ? "" : ` (got ${JSON.stringify(source.raw)})`;
    throw new SettingsError(`${source.label} ${(error as Error).message}${given}`);
  }
}

/**
 * The environment variables of a setting, in order of precedence.
 * @param name the setting
 * @param row its row of the table
 */
export function envNames(name: string, row: Setting): string[] {
  return [name, ...(row.aliases ?? [])].map((each) => `DS_${each.toUpperCase()}`).concat(row.env ?? []);
}

function unknownVariables(variables: Record<string, string>): string[] {
  const known = new Set(TABLE.flatMap(([name, row]) => envNames(name, row)));
  return Object.keys(variables)
    .filter((key) => key.startsWith("DS_") && !known.has(key))
    .map((key) => `The environment variable ${key} is not a setting; see --help`);
}

// Shells, compose files and pm2 set unset variables to the empty string.
function nonEmpty(env: NodeJS.ProcessEnv): Record<string, string> {
  return Object.fromEntries(Object.entries(env).filter((entry): entry is [string, string] => Boolean(entry[1])));
}

function readDotenv(folder: string): Record<string, string> {
  try {
    return parseDotenv(readFileSync(path.join(folder, ".env")));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return {};
    throw new SettingsError(`.env can't be read: ${(error as Error).message}`);
  }
}

function readConfigFile(file: string): Record<string, unknown> {
  let parsed: unknown;
  try {
    parsed = JSON.parse(readFileSync(file, "utf8"));
  } catch (error) {
    // The message of JSON.parse quotes the text, which may be a secret.
    const reason = error instanceof SyntaxError ? "it is not valid JSON" : (error as Error).message;
    throw new SettingsError(`The config file ${file} can't be read: ${reason}`);
  }
  if (parsed === null || typeof parsed !== "object" || Array.isArray(parsed)) {
    throw new SettingsError(`The config file ${file} must hold a JSON object`);
  }
  const unknown = Object.keys(parsed).find((name) => !(name in SETTINGS));
  if (unknown !== undefined) throw new SettingsError(`The config file ${file} has the unknown setting ${unknown}${hintOf(unknown)}`);
  return parsed as Record<string, unknown>;
}
