import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import type { ContainerList } from "../docker/containers/container-list";
import type { ContainerCreateOptions, Engine } from "../docker/engine";
import { AppError, isNotFound, isUnavailable } from "../errors";
import type { Logger } from "../support/logger";
import type { EngineClock } from "./engine-clock";

/** Seconds since 1970, by the engine's clock, after which whoever sees it may remove what has this label. */
export const EXPIRES_LABEL = "docker-server.expires";
/** What runs make is called so: the label alone would also be on what somebody makes of a run's image. */
export const JOB_PREFIX = "docker-server-job-";
/** An image of nothing, for as long as an engine without images needs one. */
export const EMPTY_IMAGE = "docker-server-empty";

/** Seconds more than a run's own time, for all that is done before and after it. */
const MARGIN = 300;
/** While the engine is gone, what is to be removed is tried again after so long (ms). */
const PAUSE = 500;

/** Marks what runs make, and removes it. */
export class Reaper {
  private readonly removals = new Set<Promise<void>>();

  constructor(
    private readonly engine: Engine,
    private readonly containers: ContainerList,
    readonly clock: EngineClock,
    private readonly log: Logger,
  ) {}

  /** @param seconds that it is used */
  async nameAndLabels(seconds: number): Promise<{ name: string; Labels: Record<string, string> }> {
    const expires = Math.ceil((await this.clock.now()) + seconds + MARGIN);
    return { name: `${JOB_PREFIX}${randomUUID()}`, Labels: { [EXPIRES_LABEL]: String(expires) } };
  }

  /**
   * Creates a container. One that may have been made though the engine's answer was lost is removed.
   * @param options with the name and labels of `mark`
   * @returns its id
   * @throws AppError INVALID_SPEC, IMAGE_NOT_FOUND, ENGINE_UNREACHABLE
   */
  async createContainer(options: ContainerCreateOptions & { name: string }, purpose: "create" | "start"): Promise<string> {
    let settled: Promise<unknown> = Promise.resolve();
    try {
      const made = this.engine.call((docker) => {
        const creating = docker.createContainer(options);
        settled = creating.catch(() => undefined);
        return creating;
      }, purpose);
      return (await made).id;
    } catch (error) {
      // An engine that was too slow, or went away, may have made it all the same, or may still do so.
      if (isUnavailable(error)) void settled.then(() => this.removeContainer(options.name));
      throw error;
    }
  }

  /** Removes a container with its anonymous volumes, running or not. Never throws: if the engine is gone, it goes on trying without being waited for. */
  removeContainer(id: string): Promise<void> {
    return this.sure(id, async () => {
      await this.engine.call((docker, abortSignal) => docker.getContainer(id).remove({ force: true, v: true, abortSignal }));
      this.containers.invalidate();
    });
  }

  /** Removes a volume that nothing uses; as `container`. */
  removeVolume(name: string): Promise<void> {
    return this.sure(name, () => this.engine.call((docker, abortSignal) => docker.getVolume(name).remove({ abortSignal })));
  }

  /**
   * Removes a volume unless something uses it.
   * @param each decides at every attempt whether it is made
   */
  removeUnusedVolume(name: string, each: (remove: () => Promise<void>) => Promise<void>): Promise<void> {
    const remove = async () => {
      await this.engine
        .call((docker, abortSignal) => docker.getVolume(name).remove({ abortSignal }))
        .catch((error: AppError) => (error.kind === "conflict" ? undefined : Promise.reject(error)));
    };
    return this.sure(name, () => each(remove));
  }

  /** Removes an image; as `container`. */
  removeImage(name: string): Promise<void> {
    return this.sure(name, () => this.engine.call((docker, abortSignal) => docker.getImage(name).remove({ force: true, abortSignal })));
  }

  /** Resolves when all that was to be removed is. */
  async idle(): Promise<void> {
    await Promise.all(this.removals);
  }

  private async sure(what: string, remove: () => Promise<unknown>): Promise<void> {
    const outcome = await this.attempt(what, remove);
    if (outcome === "done") return;
    const removal = this.insist(what, remove).finally(() => this.removals.delete(removal));
    this.removals.add(removal);
  }

  private async insist(what: string, remove: () => Promise<unknown>): Promise<void> {
    do await sleep(PAUSE, undefined, { ref: false });
    while ((await this.attempt(what, remove)) === "later");
  }

  private async attempt(what: string, remove: () => Promise<unknown>): Promise<"done" | "later"> {
    try {
      await remove();
    } catch (error) {
      if (isUnavailable(error)) return "later";
      const gone = isNotFound(error) || (error instanceof AppError && /already in progress/i.test(error.message));
      if (!gone) this.log.error("what a run has made can't be removed", { what, reason: (error as Error).message });
    }
    return "done";
  }
}
