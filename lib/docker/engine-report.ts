import type { Logger } from "../support/logger";
import type { Engine } from "./engine";
import { TLS_ERROR_CODE } from "./engine-errors";

/** What to do about a connection that failed with this code. */
const REMEDIES: Record<string, string> = {
  EACCES: "This user may not use the engine's socket: run the server as root or in the socket's group",
  ENOENT: "There is no socket: start Docker, or name the engine with --docker_host",
  ECONNREFUSED: "Nothing listens there: start Docker, or name the engine with --docker_host",
  ENOTFOUND: "The machine's name is not known: check --docker_host",
};
const SILENCE = {
  reason: "it does not answer",
  remedy: "Check that --docker_host leads to a Docker engine, that no firewall is between, and that the engine is not overloaded",
};
const TLS_REMEDY = "TLS failed: check --docker_tls_verify, and ca.pem, cert.pem and key.pem in --docker_cert_path";

/** Which engine this host has, or why it can't be reached and what to do about it. */
export type EngineReport =
  | { reached: true; version: string; api: string }
  | { reached: false; code: string | undefined; reason: string; remedy: string };

/** Asks the engine which it is; never rejects. */
export async function reportEngine(engine: Engine): Promise<EngineReport> {
  try {
    await engine.assertAlive(0);
    const { Version, ApiVersion } = await engine.call((docker) => docker.version());
    return { reached: true, version: Version, api: ApiVersion };
  } catch (error) {
    const { message, cause } = error as Error;
    const { code, name, message: reason = message } = (cause ?? {}) as NodeJS.ErrnoException;
    if (name === "AbortError" || name === "TimeoutError") return { reached: false, code: undefined, ...SILENCE };
    const remedy = REMEDIES[code ?? ""] ?? (TLS_ERROR_CODE.test(code ?? "") ? TLS_REMEDY : "Run `docker info` as the same user");
    return { reached: false, code, reason, remedy };
  }
}

/** Logs the report; the server serves on without an engine. */
export async function logEngine(engine: Engine, log: Logger): Promise<void> {
  const { reached, ...fields } = await reportEngine(engine);
  if (reached) log.info("Engine reached", fields);
  else log.warn("Engine not reached", fields);
}
