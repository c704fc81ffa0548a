import type { Cli } from "../docker/cli/docker-cli";
import type { Engine } from "../docker/engine";
import { AppError } from "../errors";
import { KeyedMutex } from "../support/keyed-mutex";
import { settlesBefore } from "../support/settles-before";

/** What is said where Compose is missing. */
export const COMPOSE_MISSING_HINT =
  "docker compose is not installed on this host: install docker-compose-plugin (Docker's packages) or docker-compose 2 (Debian's)";
/** So long (ms) it is believed that Compose is there, or isn't. */
const VERSION_CACHE_MS = 60_000;
/** So long (ms) Compose gives a container to end before it kills it. */
const STOP_GRACE_MS = 10_000;

/** The docker Compose CLI of this host. No project of it is a file. */
export class Compose {
  /** One that was no longer waited for may still be at it. */
  private readonly projectMutex = new KeyedMutex();
  private cachedVersion: { version: Promise<string | null>; at: number } | undefined;

  constructor(
    private readonly engine: Engine,
    private readonly cli: Cli,
  ) {}

  /** Its version; null if it isn't installed. */
  version(): Promise<string | null> {
    if (this.cachedVersion && performance.now() - this.cachedVersion.at < VERSION_CACHE_MS) return this.cachedVersion.version;
    const version = this.cli("compose", ["compose", "version", "--short"]).then(
      (said) => (Number(/^v?(\d+)\./.exec(said)?.[1]) >= 2 ? said.trim() : null),
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
   * Makes the containers of a project what its document says, those that are there already too.
   * @param options.start also starts them; else they run or don't as before
   * @throws AppError PORT_TAKEN, INVALID_SPEC, COMPOSE_FAILED; ENGINE_UNREACHABLE, after which it may still come to it
   */
  up(project: string, document: string, options: { start: boolean }): Promise<void> {
    return this.run(project, ["--file=-", "up", options.start ? "--detach" : "--no-start", "--no-build"], document);
  }

  /** Removes a project's containers at once, running or not, and its volumes. */
  down(project: string): Promise<void> {
    return this.run(project, ["down", "--volumes", "--timeout=0"]);
  }

  private async run(project: string, args: string[], document?: string): Promise<void> {
    await this.engine.assertAlive();
    // What it says of its progress it says to nobody, also when this process has been killed: it then still ends what it has begun. Of
    // this server's folder, where a .env may lie, it knows nothing.
    const common = ["compose", "--progress=quiet", `--project-name=${project}`, "--project-directory=/", "--env-file=/dev/null"];
    const running = this.projectMutex.runExclusive(project, () => this.cli("compose", [...common, ...args], document));
    const inTime = settlesBefore(running, AbortSignal.timeout(this.engine.readTimeout + STOP_GRACE_MS));
    const ended = await this.engine.whileAlive(inTime, "create").catch(() => false);
    if (!ended) throw new AppError("ENGINE_UNREACHABLE", { cause: "docker compose came to no end" });
    await running;
  }
}
