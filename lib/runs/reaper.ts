import { randomUUID } from "node:crypto";
import type { ContainerList } from "../docker/containers/container-list";
import { RUN_CONTAINER_PREFIX } from "../docker/create/policy";
import type { ContainerCreateOptions, Engine } from "../docker/engine";
import { removeUntilGone } from "../docker/remove-until-gone";
import type { AppError } from "../errors";
import type { Logger } from "../support/logger";

/** Seconds since 1970 by the engine's clock. Any server may remove a labelled resource after this time. */
export const EXPIRES_LABEL = "docker-server.expires";

/** Added to a run's own time: creating, filling and removing take time too. */
const EXPIRY_MARGIN_SECONDS = 300;

/** Names and labels what runs create, and removes it. */
export class Reaper {
  private readonly removals = new Set<Promise<void>>();

  constructor(
    private readonly engine: Engine,
    private readonly containers: ContainerList,
    readonly clock: EngineClock,
    private readonly log: Logger,
  ) {}

  /**
   * A new name, and the label with its expiry.
   * @param seconds that the resource will be used at most
   */
  async nameAndLabels(seconds: number): Promise<{ name: string; Labels: Record<string, string> }> {
    const expires = Math.ceil((await this.clock.now()) + seconds + EXPIRY_MARGIN_SECONDS);
    return { name: `${RUN_CONTAINER_PREFIX}${randomUUID()}`, Labels: { [EXPIRES_LABEL]: String(expires) } };
  }

  /**
   * Creates a container. If the engine's response is lost, a container that was created nevertheless is removed.
   * @param options with name and labels of `nameAndLabels`
   * @returns its id
   * @throws AppError INVALID_SPEC, IMAGE_NOT_FOUND, ENGINE_UNREACHABLE
   */
  createContainer(options: ContainerCreateOptions & { name: string }, purpose: "create" | "start"): Promise<string> {
    return this.engine.createContainer(options, purpose, () => void this.removeContainer(options.name));
  }

  /**
   * Removes a container, running or not, with its anonymous volumes. Never throws: if the engine is unavailable, it resolves and
   * retries in the background.
   */
  removeContainer(id: string): Promise<void> {
    return this.removeReliably(id, async () => {
      await this.engine.call((docker) => docker.getContainer(id).remove({ force: true, v: true }));
      this.containers.invalidate();
    });
  }

  /** Removes an unused volume; never throws, like `removeContainer`. */
  removeVolume(name: string): Promise<void> {
    return this.removeReliably(name, () => this.engine.call((docker) => docker.getVolume(name).remove()));
  }

  /**
   * Removes a volume unless a container uses it.
   * @param attempt called for every attempt; decides whether to call `remove`
   */
  removeUnusedVolume(name: string, attempt: (remove: () => Promise<void>) => Promise<void>): Promise<void> {
    const remove = async () => {
      await this.engine
        .call((docker) => docker.getVolume(name).remove())
        .catch((error: AppError) => (error.kind === "conflict" ? undefined : Promise.reject(error)));
    };
    return this.removeReliably(name, () => attempt(remove));
  }

  /** Removes an image; never throws, like `removeContainer`. */
  removeImage(name: string): Promise<void> {
    return this.removeReliably(name, () => this.engine.call((docker) => docker.getImage(name).remove({ force: true })));
  }

  /** Resolves when no removal is being retried any more. */
  async whenIdle(): Promise<void> {
    await Promise.all(this.removals);
  }

  private async removeReliably(name: string, remove: () => Promise<unknown>): Promise<void> {
    const logFailure = (error: Error) => this.log.error("Run resource not removed", { name, reason: error.message });
    const { retries } = await removeUntilGone(remove, logFailure);
    if (!retries) return;
    const removal = retries.finally(() => this.removals.delete(removal));
    this.removals.add(removal);
  }
}

/** The clock of the engine's machine, which can differ from this machine's: expiry labels are times of that clock. */
export class EngineClock {
  private offsetMs: Promise<number> | undefined;

  constructor(private readonly engine: Engine) {}

  /**
   * @returns seconds since 1970; the engine is asked once, then this process' monotonic clock continues
   * @throws AppError ENGINE_UNREACHABLE
   */
  async now(): Promise<number> {
    this.offsetMs ??= this.measureOffset();
    try {
      return (performance.now() + (await this.offsetMs)) / 1000;
    } catch (error) {
      this.offsetMs = undefined;
      throw error;
    }
  }

  /** Asks the engine again, because its clock may have been set; returns like `now`. */
  async refresh(): Promise<number> {
    const offsetMs = this.measureOffset();
    await offsetMs;
    this.offsetMs = offsetMs;
    return this.now();
  }

  private async measureOffset(): Promise<number> {
    const { SystemTime } = (await this.engine.call((docker) => docker.info())) as { SystemTime: string };
    return Date.parse(SystemTime) - performance.now();
  }
}
