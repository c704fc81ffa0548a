import type { Container } from "dockerode";
import type { Access } from "../../access/access";
import type { NameClaims } from "../create/name-claims";
import { isRunContainer, type PolicyGuard, runContainerError } from "../create/policy-guard";
import type { Engine } from "../engine";
import type { EngineOperation } from "../engine-errors";
import { watchRemoval } from "./await-removal";
import type { ContainerList } from "./container-list";
import { ACTIVE_STATES } from "./container-summary";

/** The engine's default for the time between the stop signal and the kill. */
const DEFAULT_STOP_GRACE_SECONDS = 10;
/** The longest time that is waited for; a container may have more, or have itself never killed (-1). */
const MAX_STOP_GRACE_SECONDS = 3600;

/** Changes the state or the name of existing containers. */
export class Lifecycle {
  constructor(
    private readonly engine: Engine,
    private readonly list: ContainerList,
    private readonly guard: PolicyGuard,
    private readonly names: NameClaims,
  ) {}

  /**
   * Does nothing if the container already runs.
   * @param id full id, as in all methods
   * @param access of the client
   * @throws AppError CONTAINER_NOT_FOUND, PORT_TAKEN, INVALID_SPEC, NOT_ALLOWED
   */
  async start(id: string, access: Access): Promise<void> {
    await this.guard.checkStart(id, access);
    return this.change(id, (container) => container.start(), 0, "start");
  }

  /**
   * Does nothing if the container does not run. Resolves when it is listed as ended, or, if the engine removes it at its end, when its
   * name is free.
   * @param grace seconds between the stop signal and the kill; the container's own setting if absent
   */
  async stop(id: string, grace?: number): Promise<void> {
    await this.engine.assertAlive();
    const { graceMs, autoRemove } = await this.stopSettings(id, grace);
    const removal = autoRemove ? await watchRemoval(this.engine, id) : undefined;
    try {
      await this.change(id, (container) => container.stop(stopQuery(grace)), graceMs);
      await removal?.done();
      if (!autoRemove) await this.list.waitUntilLeft(id, ACTIVE_STATES);
    } finally {
      removal?.close();
      this.list.invalidate();
    }
  }

  /**
   * @param access as of `start`
   * @param grace as of `stop`
   * @throws AppError as `start`
   */
  async restart(id: string, access: Access, grace?: number): Promise<void> {
    await this.engine.assertAlive();
    await this.guard.checkStart(id, access);
    const { graceMs } = await this.stopSettings(id, grace);
    return this.change(id, (container) => container.restart(stopQuery(grace)), graceMs, "start");
  }

  /** @returns the time that the engine gives the container to end, and whether it removes it then */
  private async stopSettings(id: string, grace: number | undefined): Promise<{ graceMs: number; autoRemove: boolean }> {
    const { Config, HostConfig } = await this.engine.call((docker) => docker.getContainer(id).inspect());
    const { StopTimeout = DEFAULT_STOP_GRACE_SECONDS } = Config as { StopTimeout?: number };
    const seconds = grace ?? (StopTimeout < 0 ? MAX_STOP_GRACE_SECONDS : Math.min(StopTimeout, MAX_STOP_GRACE_SECONDS));
    return { graceMs: seconds * 1000, autoRemove: HostConfig.AutoRemove ?? false };
  }

  /** @throws AppError NOT_RUNNING, also if it is paused already */
  async pause(id: string): Promise<void> {
    await this.change(id, (container) => container.pause());
    await this.list.waitUntilLeft(id, ["running"]);
  }

  /** @throws AppError NOT_RUNNING if it isn't paused */
  async unpause(id: string): Promise<void> {
    await this.change(id, (container) => container.unpause());
    // A loaded Docker 28 was seen to list it as paused for a moment after its answer.
    await this.list.waitUntilLeft(id, ["paused"]);
  }

  /** @throws AppError NAME_TAKEN, also by a container of another host; NOT_ALLOWED for the container of a run */
  async rename(id: string, from: string, to: string): Promise<void> {
    if (from === to) return;
    if (isRunContainer(from)) throw runContainerError(from);
    const renameTo = (name: string) => this.change(id, (container) => container.rename({ name }));
    await this.names.whileClaimed(to, async (claim) => {
      await claim.confirm();
      await renameTo(to);
      await claim.recheck().catch(async (error: Error) => {
        await renameTo(from);
        throw error;
      });
    });
  }

  private async change(
    id: string,
    work: (container: Container) => Promise<unknown>,
    extraMs = 0,
    operation: EngineOperation = "call",
  ): Promise<void> {
    await this.engine.assertAlive();
    const timeoutMs = this.engine.readTimeoutMs + extraMs;
    try {
      await this.engine.call((docker) => work(docker.getContainer(id)).catch(ignoreNotModified), operation, timeoutMs);
    } finally {
      this.list.invalidate();
    }
  }
}

/** The engine answers 304 if the container already was in the requested state. */
function ignoreNotModified(error: { statusCode?: number }): void {
  if (error.statusCode !== 304) throw error;
}

const stopQuery = (grace: number | undefined) => (grace === undefined ? {} : { t: grace });
