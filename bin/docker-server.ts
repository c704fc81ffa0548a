#!/usr/bin/env node
import "./process-title";
import "./compile-cache";
import "./small-heap";
import { randomBytes } from "node:crypto";
import { setFlagsFromString } from "node:v8";
import { loadSettings } from "../config/load";
import type { Settings } from "../config/settings";
import { start } from "../lib/app";
import { checkCommand } from "../lib/commands/check";
import { tokenCommand } from "../lib/commands/token";
import { openLogs } from "../lib/support/logger";
import { SettingsError } from "../lib/support/settings-error";
import { toUrlHost } from "../lib/support/url-host";

/**
 * Growth of the heap, in percent of the live objects, before V8 collects it fully. Buffers in transit count as growth: by V8's own
 * estimate each 30 MB of them would cause a full collection.
 */
const HEAP_GROWING_PERCENT = 300;

/** How many times larger the heap's young part becomes each time that it is too small: V8's own default. */
const YOUNG_HEAP_GROWTH = 2;

async function main(): Promise<void> {
  setFlagsFromString(`--heap-growing-percent=${HEAP_GROWING_PERCENT}`);
  const [command, ...rest] = process.argv.slice(2);
  if (command === "token") {
    const text = await tokenCommand(rest, async (argv) => (await loadSettings(argv))?.settings ?? null);
    if (text !== "") process.stdout.write(`${text}\n`);
    return;
  }
  const isCheck = command === "check";
  const loaded = await loadSettings(isCheck ? rest : process.argv.slice(2));
  if (loaded === null) return;
  const { settings, warnings, cliVariables } = loaded;
  if (isCheck) {
    assertFit(settings);
    for (const warning of warnings) process.stderr.write(`docker-server: ${warning}\n`);
    const { text, isWell } = await checkCommand({ ...settings, cliVariables });
    // Connections to the engine and the store may be open still.
    process.stdout.write(`${text}\n`, () => process.exit(isWell ? 0 : 1));
    return;
  }
  if (settings.token.length === 0 && settings.token_file === null && settings.password === null)
    settings.token.push(generateToken(settings.cluster));
  assertFit(settings);
  const logs = openLogs(settings);
  // A forgotten rejection belongs to one request: log it and go on. After an uncaught exception the state is unknown: log it and exit.
  process.on("unhandledRejection", (reason) => logs.log.error("Unhandled promise rejection", { cause: causeOf(reason) }));
  process.on("uncaughtException", (error) => {
    logs.log.fatal("Uncaught exception", { cause: causeOf(error) });
    void logs.close().then(() => process.exit(1));
  });
  for (const warning of warnings) logs.log.warn(warning);
  const starting = start(settings, logs, cliVariables);
  let stopping = false;
  const stop = async (signal: string) => {
    if (stopping) return;
    stopping = true;
    logs.log.info(`stopping at ${signal}: requests under way may finish`);
    // The signal may arrive during the start.
    await (await starting).stop();
    await logs.close();
    process.exit(0);
  };
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    process.on(signal, () => {
      stop(signal).catch((error: Error) => {
        process.stderr.write(`docker-server: the stop failed: ${error.message}\n`);
        process.exit(1);
      });
    });
  }
  const { port } = await starting;
  logs.log.info(`listening on ${settings.https ? "https" : "http"}://${toUrlHost(settings.host ?? "0.0.0.0")}:${port}`);
  setFlagsFromString(`--semi-space-growth-factor=${YOUNG_HEAP_GROWTH}`);
  process.send?.("ready");
}

/** @throws SettingsError for settings that do not go together */
function assertFit(settings: Settings): void {
  if (settings.port !== 0 && settings.port === settings.proxy_port) throw new SettingsError("--port and --proxy_port must differ");
  if ((settings.user === null) !== (settings.password === null)) throw new SettingsError("--user and --password go together");
  if (settings.cluster && settings.token.length === 0 && settings.cluster_key.length === 0) {
    throw new SettingsError("A cluster needs --cluster_key, or a --token that is the same on all nodes to derive it from");
  }
}

function causeOf(reason: unknown): string {
  return reason instanceof Error ? (reason.stack ?? reason.message) : String(reason);
}

/**
 * Generates a token and prints it, only for a server started at a terminal.
 * @throws SettingsError in a cluster, where all nodes need the same token, and without a terminal to print it to
 */
function generateToken(cluster: boolean): string {
  if (cluster || !process.stdout.isTTY) throw new SettingsError("A token is required: give --token, --token_file or DS_TOKEN");
  const token = randomBytes(24).toString("base64url");
  process.stdout.write(`No token was given. Use this one, it is shown only now: ${token}\n`);
  return token;
}

main().catch((error: Error) => {
  process.stderr.write(`docker-server: ${error.message}\n`);
  process.exit(error instanceof SettingsError ? 2 : 1);
});
