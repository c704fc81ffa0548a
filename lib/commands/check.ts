import { accessSync, constants, existsSync, mkdtempSync, rmdirSync } from "node:fs";
import path from "node:path";
import { tokensOf } from "../auth/credentials";
import { type CheckedCluster, checkCluster } from "../cluster/check-cluster";
import { CliCheck } from "../docker/cli/cli-check";
import { type DockerCli, dockerCli } from "../docker/cli/docker-cli";
import { type EndpointSettings, resolveEndpoint } from "../docker/endpoint";
import { Engine } from "../docker/engine";
import { EngineDisk } from "../docker/engine-disk";
import { reportEngine } from "../docker/engine-report";
import { readClientAuthority } from "../docker-api/listen-address";
import { COMPOSE_MISSING_HINT, Compose } from "../managed/compose";
import { type CertificateSettings, describeCertificate } from "../server/certificates";
import { describeClockDifference } from "../support/clock-difference";
import { describeRoom, readDiskRoom } from "../support/disk";
import { type Finding, findingOf } from "../support/finding";
import type { Logger } from "../support/logger";
import { type AddressSettings, nodeAddress } from "../support/node-address";
import { readSettingsFile } from "../support/settings-error";
import { checkListeners, type ListenerSettings } from "./check-listeners";

export interface CheckSettings extends EndpointSettings, AddressSettings, CheckedCluster, CertificateSettings, ListenerSettings {
  cluster: boolean;
  token: string[];
  token_file: string | null;
  password: string | null;
  revoked: string | null;
  log_dir: string;
  /** seconds */
  docker_read_timeout: number;
  /** seconds */
  docker_write_timeout: number;
}

const REVOKED_REMEDY = "Make the file, which may be empty, or name another with --revoked";
const AUTHORITY_REMEDY = "Name a PEM file of your own authority with --docker_tls_ca";

/** All that is wrong is in the findings. */
const ignore = () => undefined;
const NO_LOG: Logger = { fatal: ignore, error: ignore, warn: ignore, info: ignore, debug: ignore, trace: ignore };

/**
 * `docker-server check` (docs/operations.md, "Check a machine"): looks at all that the server needs. It joins no cluster; what it writes to the store it removes.
 * @returns the text to print, and whether nothing is wrong
 */
export async function checkCommand(settings: CheckSettings): Promise<{ text: string; isWell: boolean }> {
  const certificates = async () => describeCertificate(settings, settings.cluster ? settings.peer_servername : null);
  const findings = [
    ...(settings.docker_config === null ? [] : [await checkDockerConfig(settings.docker_config)]),
    ...(await checkDocker(settings)),
    await findingOf("credentials", async () => describeCredentials(settings), "Let this user read it, or name another with --token_file"),
    ...(await checkFile("revoked tokens", settings.revoked, (file) => readSettingsFile("revoked", file), REVOKED_REMEDY)),
    ...(await checkListeners(settings)),
    ...(await checkFile("clients' authority", settings.docker_tls_ca, readClientAuthority, AUTHORITY_REMEDY)),
    await findingOf("log folder", () => checkLogFolder(settings.log_dir), "Let this user write there, or name another with --log_dir"),
    ...(settings.https || settings.docker_tls_ca !== null
      ? [await findingOf("certificate", certificates, "Name the files with --https_cert, --https_key, --https_chain")]
      : []),
    ...(settings.cluster ? await checkCluster(settings, nodeAddress(settings).nodeName, NO_LOG) : []),
  ];
  return { text: findings.map(lineOf).join("\n"), isWell: findings.every(({ remedy }) => remedy === undefined) };
}

function lineOf({ subject, found, remedy }: Finding): string {
  return remedy === undefined ? `ok     ${subject}: ${found}` : `WRONG  ${subject}: ${found}\n       ${remedy}`;
}

async function checkDocker(settings: CheckSettings): Promise<Finding[]> {
  const endpoint = await resolveEndpoint(settings).catch((error: Error) => error);
  if (endpoint instanceof Error)
    return [{ subject: "engine", found: endpoint.message, remedy: "Check --docker_host, --docker_context and --docker_cert_path" }];
  const engine = new Engine(endpoint, settings.docker_read_timeout * 1000, settings.docker_write_timeout * 1000);
  const report = await reportEngine(engine);
  if (!report.reached) return [{ subject: "engine", found: `${endpoint.url} can't be reached: ${report.reason}`, remedy: report.remedy }];
  const cli = dockerCli(endpoint);
  return [
    { subject: "engine", found: `${endpoint.url}, version ${report.version}, API ${report.api}` },
    await findingOf("docker CLI", () => checkCli(engine, cli), "Install a docker CLI that fits the engine"),
    await findingOf("compose", () => checkCompose(engine, cli), COMPOSE_MISSING_HINT),
    await findingOf("clock", () => checkClock(engine), "Run `docker info`: the engine does not tell its time"),
    await findingOf("engine's disk", () => checkEngineDisk(engine), "Run `docker info`"),
  ];
}

async function checkCli(engine: Engine, cli: DockerCli) {
  const problem = await new CliCheck(engine, cli, NO_LOG).refresh();
  if (problem !== undefined) return { found: "it can't be used with this engine", remedy: problem };
  return { found: `version ${(await cli("call", ["version", "--format={{.Client.Version}}"])).trim()} works with the engine` };
}

async function checkCompose(engine: Engine, cli: DockerCli) {
  const version = await new Compose(engine, cli).version();
  return version === null ? { found: "missing", remedy: COMPOSE_MISSING_HINT } : { found: `version ${version}` };
}

async function checkClock(engine: Engine) {
  const { SystemTime } = (await engine.call((docker) => docker.info())) as { SystemTime: string };
  return describeClock(Date.parse(SystemTime) - Date.now());
}

/** @param differenceMs the clock of the engine's machine minus this machine's */
export function describeClock(differenceMs: number): { found: string; remedy?: string } {
  return describeClockDifference(`${new Date().toISOString()}, that of the engine's machine`, differenceMs);
}

async function checkEngineDisk(engine: Engine) {
  const room = await new EngineDisk(engine).read();
  return room === undefined ? { found: "not seen from here: check it on the engine's machine" } : describeRoom(room);
}

/** @throws Error if the token file can't be read */
function describeCredentials({ token, token_file, password }: CheckSettings) {
  const fromFile = token_file === null ? 0 : tokensOf(readSettingsFile("token_file", token_file)).length;
  if (token_file !== null && fromFile === 0) return { found: `${token_file} holds no token`, remedy: "Write a token into it, one a line" };
  const count = token.length + fromFile;
  if (count === 0 && password === null)
    return {
      found: "none",
      remedy: "Give --token, --token_file, or --user and --password: a server without them starts only at a terminal",
    };
  return { found: `${count} ${count === 1 ? "token" : "tokens"}${password === null ? "" : ", a user with a password"}` };
}

/** A docker CLI that can't read its folder finds no compose and no logins, and says so of neither. */
function checkDockerConfig(folder: string): Promise<Finding> {
  const look = async () => {
    accessSync(`${folder}/.`, constants.R_OK | constants.X_OK);
    const file = path.join(folder, "config.json");
    if (!existsSync(file)) return { found: `${folder}, without a config.json` };
    readSettingsFile("docker_config", file);
    return { found: folder };
  };
  return findingOf("docker config", look, "Let this user read the folder and its config.json, or name another with --docker_config");
}

/** @param read throws an Error if the file can't be used */
async function checkFile(subject: string, file: string | null, read: (file: string) => void, remedy: string): Promise<Finding[]> {
  if (file === null) return [];
  const look = async () => {
    read(file);
    return { found: file };
  };
  return [await findingOf(subject, look, remedy)];
}

/** The server makes the folder at its start: until then the folder that will hold it counts. */
async function checkLogFolder(folder: string) {
  let existing = path.resolve(folder);
  while (!existsSync(existing)) existing = path.dirname(existing);
  // Some folders take no new entry from anyone, such as those of /proc.
  rmdirSync(mkdtempSync(path.join(existing, ".docker-server-check-")));
  const room = describeRoom(await readDiskRoom(existing));
  return { ...room, found: `${path.resolve(folder)}, ${room.found}` };
}
