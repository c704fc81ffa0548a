import type { Logger } from "../support/logger";
import type { Engine } from "./engine";

/** What to do about a connection that failed with this code. */
const REMEDIES: Record<string, string> = {
  EACCES: "This user may not use the engine's socket: run the server as root or in the socket's group",
  ENOENT: "There is no socket: start Docker, or name the engine with --docker_host",
  ECONNREFUSED: "Nothing listens there: start Docker, or name the engine with --docker_host",
};

/** Logs which engine this host has, or why it can't be reached; the server serves on without it. */
export async function logEngine(engine: Engine, log: Logger): Promise<void> {
  try {
    await engine.assertAlive(0);
    const { Version, ApiVersion } = await engine.call((docker) => docker.version());
    log.info("Engine reached", { version: Version, api: ApiVersion });
  } catch (error) {
    const { message, cause } = error as Error;
    const { code, message: reason = message } = (cause ?? {}) as NodeJS.ErrnoException;
    log.warn("Engine not reached", { code, reason, remedy: REMEDIES[code ?? ""] ?? "Run `docker info` as the same user" });
  }
}
