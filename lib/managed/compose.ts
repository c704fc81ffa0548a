import type { DockerCli } from "../docker/cli/docker-cli";
import type { Engine } from "../docker/engine";
import { AppError } from "../errors";
import { KeyedMutex } from "../support/keyed-mutex";

/** Shown wherever Compose is missing. */
export const COMPOSE_MISSING_HINT =
  "docker compose is not installed on this host: install docker-compose-plugin (Docker's packages) or docker-compose 2 (Debian's)";
/** Lifetime of a version lookup, also of one that found no Compose. */
const VERSION_CACHE_MS = 60_000;
/** Compose's own default time between SIGTERM and SIGKILL of a container. */
const STOP_GRACE_SECONDS = 10;

/** The docker Compose CLI of this host. Projects are passed on stdin and never stored in a file. */
export class Compose {
  /** A timed-out call of Compose may still be running: the next one for the same project must wait for it. */
  private readonly projectMutex = new KeyedMutex();
  private cachedVersion: { version: Promise<string | null>; at: number } | undefined;

  constructor(
    private readonly engine: Engine,
    private readonly cli: DockerCli,
  ) {}

  /** Compose's version, such as 2.29.1; null if Compose 2 is not installed. */
  version(): Promise<string | null> {
    if (this.cachedVersion && performance.now() - this.cachedVersion.at < VERSION_CACHE_MS) return this.cachedVersion.version;
    const version = this.cli("compose", ["compose", "version", "--short"]).then(
      (stdout) => (Number(/^v?(\d+)\./.exec(stdout)?.[1]) >= 2 ? stdout.trim() : null),
      () => null,
    );
    this.cachedVersion = { version, at: performance.now() };
    return version;
  }

  /** @throws AppError COMPOSE_MISSING naming what to install */
  async assertInstalled(): Promise<void> {
    if ((await this.version()) === null) throw new AppError("COMPOSE_MISSING", { message: COMPOSE_MISSING_HINT });
  }

  /**
   * Creates or replaces the containers of a project according to its document.
   * @param document the Compose file, see `composeDocument`
   * @param options.start whether to start them too
   * @param options.stopSeconds that a container which is replaced may take to stop
   * @throws AppError PORT_TAKEN, INVALID_SPEC, COMPOSE_FAILED; ENGINE_UNREACHABLE or ENGINE_TIMEOUT, after which the engine may still carry it out
   */
  up(project: string, document: string, options: { start: boolean; stopSeconds?: number | undefined }): Promise<void> {
    const args = ["--file=-", "up", options.start ? "--detach" : "--no-start", "--no-build"];
    return this.run(project, args, document, options.stopSeconds);
  }

  /** Removes a project's containers, without a stop timeout, and its volumes. */
  down(project: string): Promise<void> {
    return this.run(project, ["down", "--volumes", "--timeout=0"]);
  }

  private async run(project: string, args: string[], document?: string, stopSeconds = 0): Promise<void> {
    await this.engine.assertAlive();
    // Quiet: without output no broken pipe ends Compose when this process dies. Project directory and env file are given so that it
    // never reads a `.env` of this server.
    const common = ["compose", "--progress=quiet", `--project-name=${project}`, "--project-directory=/", "--env-file=/dev/null"];
    const call = this.projectMutex.runExclusive(project, () => this.cli("compose", [...common, ...args], document));
    const stopMs = Math.max(STOP_GRACE_SECONDS, stopSeconds) * 1000;
    await this.engine.withinDeadline(call, AbortSignal.timeout(this.engine.readTimeoutMs + stopMs), "create");
  }
}
