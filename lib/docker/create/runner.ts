import { setTimeout as sleep } from "node:timers/promises";
import type { ContainerInspectInfo } from "dockerode";
import type { Access } from "../../access/access";
import { AppError, isUnavailable } from "../../errors";
import type { Logger } from "../../support/logger";
import { settlesBefore } from "../../support/settles-before";
import { createArgs, envFile } from "../cli/create-args";
import type { DockerCli } from "../cli/docker-cli";
import { awaitRemoval, watchRemoval } from "../containers/await-removal";
import type { Confinement } from "../containers/confinement";
import type { ContainerList } from "../containers/container-list";
import { ACTIVE_STATES } from "../containers/container-summary";
import type { Engine } from "../engine";
import { toAppErrorFromEngine } from "../engine-errors";
import type { Images } from "../images/images";
import { isBeingRemoved, removeUntilGone } from "../remove-until-gone";
import { confineSpec } from "./confine-spec";
import { awaitForeground, type ForegroundEnd, openForeground } from "./foreground";
import type { NameClaim, NameClaims } from "./name-claims";
import type { PolicyGuard } from "./policy-guard";
import type { Quotas } from "./quotas";
import { recreateOptions } from "./recreate-options";
import type { RunSpec } from "./run-spec";

/**
 * The label of containers created by a run; its value is the container's name. They are started right after the create, so an old one in
 * the state "created" was left behind by a killed server. If the value differs from the name, the label comes from an image that was
 * committed from such a container.
 */
export const RUN_LABEL = "docker-server.run";

/** The state of a run when it is answered. */
export type RunResult = { status: "pulling" } | { status: "running"; id: string } | ({ status: "exited"; id: string } & ForegroundEnd);

export interface RunOptions {
  /** What the client may do. */
  access: Access;
  /** Return as soon as the container has started. */
  detach: boolean;
  /** bytes kept of each output stream */
  outputLimit: number;
  /** Ends the wait; the pull or the container goes on. */
  waitSignal: AbortSignal;
  /** Aborts when the node that placed the run no longer waits for it: nothing may be created or started afterwards. */
  cancelSignal?: AbortSignal | undefined;
  /** Called when a container that is waited for has started and is in the list. */
  onStarted: () => void;
}

export interface RemoveOptions {
  force?: boolean | undefined;
  volumes?: boolean;
  info?: Pick<ContainerInspectInfo, "Id" | "HostConfig" | "State">;
}

/** A container that another process makes under the same name is started sooner. */
const LOST_AFTER_MS = 10_000;

type StartOptions = Pick<RunOptions, "cancelSignal" | "access">;

function throwIfCancelled({ cancelSignal }: Pick<StartOptions, "cancelSignal">): void {
  if (cancelSignal?.aborted) throw new AppError("ABANDONED");
}

/** Creates and starts containers on this host. */
export class Runner {
  /** Runs that were answered while their image was still being pulled. */
  private readonly backgroundRuns = new Set<Promise<void>>();

  constructor(
    private readonly engine: Engine,
    private readonly cli: DockerCli,
    private readonly images: Images,
    private readonly list: ContainerList,
    private readonly confinement: Confinement,
    private readonly guard: PolicyGuard,
    private readonly names: NameClaims,
    private readonly quotas: Quotas,
    private readonly log: Logger,
  ) {}

  /**
   * Runs a container and pulls its image first if need be. If the start fails, the container is removed.
   * @returns `exited` only if the run was waited for and has ended
   * @throws AppError NOT_ALLOWED, REFUSED_BY_TOKEN, NAME_TAKEN, PORT_TAKEN, INVALID_SPEC, ABANDONED, and those of `Images.ensure`
   */
  async run(spec: RunSpec, options: RunOptions): Promise<RunResult> {
    options.access.assertImage(spec.image);
    // Before anything is pulled or created.
    await this.guard.checkSpec(spec, options.access);
    throwIfCancelled(options);
    const pulled = this.images.ensure(spec.image, spec.pull, spec.platform);
    if (!(await settlesBefore(pulled, options.waitSignal))) {
      this.runInBackground(spec, pulled, options);
      return { status: "pulling" };
    }
    await pulled;
    if (options.detach) return { status: "running", id: await this.startDetached(spec, options) };
    return this.runInForeground(spec, options);
  }

  private runInBackground(spec: RunSpec, pulled: Promise<void>, { access }: RunOptions): void {
    const run = pulled
      .then(() => this.startDetached(spec, { access }))
      .then((id) => this.log.info("Container started after its image was pulled", { id, name: spec.name }))
      .catch((error: Error) =>
        this.log.error("Container not started after its request was answered", { name: spec.name, reason: error.message }),
      )
      .finally(() => this.backgroundRuns.delete(run));
    this.backgroundRuns.add(run);
  }

  /** Resolves when every run that was answered `pulling` has started or failed. */
  async whenIdle(): Promise<void> {
    await Promise.all(this.backgroundRuns);
  }

  private async startDetached(spec: RunSpec, options: StartOptions): Promise<string> {
    const { id } = await this.start(spec, options, async () => undefined);
    return id;
  }

  private async runInForeground(spec: RunSpec, options: RunOptions): Promise<RunResult> {
    const { id, prepared: streams } = await this.start(spec, options, (created) => openForeground(this.engine, created, spec.remove));
    options.onStarted();
    const end = await awaitForeground(this.engine, id, streams, options);
    this.list.invalidate();
    if (end !== null) await this.list.waitUntilLeft(id, ACTIVE_STATES);
    return end === null ? { status: "running", id } : { status: "exited", ...end, id };
  }

  /**
   * Creates and starts a container; if any step fails, the container is removed.
   * @param prepare runs between create and start
   */
  private async start<T>(spec: RunSpec, options: StartOptions, prepare: (id: string) => Promise<T>): Promise<{ id: string; prepared: T }> {
    // The image may have been pulled long after the request was answered.
    options.access.assertLive();
    return this.names.whileClaimed(spec.name, (claim) => this.startClaimed(spec, options, prepare, claim));
  }

  private async startClaimed<T>(
    spec: RunSpec,
    { cancelSignal, access }: StartOptions,
    prepare: (id: string) => Promise<T>,
    claim: NameClaim,
  ): Promise<{ id: string; prepared: T }> {
    const room = this.quotas.open(spec.name, access);
    try {
      throwIfCancelled({ cancelSignal });
      const id = await this.createConfined(spec, access);
      const prepared = await this.rollbackOnError(id, async () => {
        const result = await prepare(id);
        await claim.confirm();
        // After the name: a repeated request finds its container although nothing more fits.
        await room.confirm();
        throwIfCancelled({ cancelSignal });
        if (mustBeCheckedAgain(spec)) await this.guard.checkStart(id, access);
        await this.engine.call((docker) => docker.getContainer(id).start(), "start");
        await claim.recheck();
        return result;
      });
      this.list.invalidate();
      return { id, prepared };
    } finally {
      room.close();
    }
  }

  /** Creates a container as a token's labels let it be. A failure leaves no volume behind that was made for it. */
  private async createConfined(spec: RunSpec, access: Access): Promise<string> {
    const { labels } = access;
    if (!labels) return this.create(spec);
    const confined = await confineSpec(this.confinement, spec, access);
    const volumes = Object.keys(spec.volumes).filter((source) => !source.startsWith("/"));
    const made = await this.confinement.ensureVolumes(volumes, labels);
    try {
      const id = await this.create(confined);
      const own = { ...confined.labels, [RUN_LABEL]: spec.name };
      return await this.rollbackOnError(id, async () => {
        await this.confinement.assertMade(id, own, labels, volumes);
        return id;
      });
    } catch (error) {
      const remove = (name: string) => this.engine.call((docker) => docker.getVolume(name).remove());
      await Promise.all(made.map((name) => remove(name).catch(() => undefined)));
      throw error;
    }
  }

  private async create(spec: RunSpec): Promise<string> {
    const { lines, rest } = envFile(spec.env);
    const labelled = { ...spec, labels: { ...spec.labels, [RUN_LABEL]: spec.name } };
    const creating = this.cli("create", createArgs(labelled), lines || undefined).then((stdout) => stdout.trim());
    const id = await this.engine.withinDeadline(creating, AbortSignal.timeout(this.engine.readTimeoutMs), "create").catch((error) => {
      // The engine may have created the container, or do it later: nobody waits for it any more.
      if (isUnavailable(error))
        void creating.then(
          (late) => this.removeEventually(late),
          () => this.removeLost(spec.name),
        );
      throw error;
    });
    this.list.invalidate();
    if (Object.keys(rest).length === 0) return id;
    return this.recreateWithEnvironment(id, spec, rest);
  }

  // An env file can't hold values of several lines, and the CLI's arguments must not: the Engine API creates the container again with them.
  private async recreateWithEnvironment(id: string, { name, volumes }: RunSpec, env: Record<string, string>): Promise<string> {
    const created = await this.engine.call((docker) => docker.getContainer(id).inspect());
    await this.remove(id, { volumes: true, info: created });
    const removeLate = () => void this.removeLost(name);
    const recreated = await this.engine.createContainer(recreateOptions(created, { name, volumes, env }), "start", removeLate);
    this.list.invalidate();
    return recreated;
  }

  private async rollbackOnError<T>(id: string, work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      const failure = toAppErrorFromEngine(error, "start");
      const removed = this.removeEventually(id);
      if (!isUnavailable(failure)) await removed;
      throw failure;
    }
  }

  // An unreachable engine may still carry out the start when it is back.
  private removeEventually(id: string): Promise<void> {
    return this.retryRemoval(id, () => this.remove(id, { volumes: true }));
  }

  /** Removes what a create has made whose answer was lost. Another container may have the name: only one that was never started is removed. */
  private removeLost(name: string): Promise<void> {
    return this.retryRemoval(name, async () => {
      const isLost = ({ State, Config }: ContainerInspectInfo) => State.Status === "created" && Config.Labels[RUN_LABEL] === name;
      const found = await this.list.findAndInspect(name, { prefix: false });
      if (!isLost(found)) return;
      await sleep(LOST_AFTER_MS, undefined, { ref: false });
      const info = await this.list.findAndInspect(found.Id, { prefix: false });
      if (isLost(info) && !this.names.isClaimed(name)) await this.remove(info.Id, { force: false, volumes: true, info });
    });
  }

  private async retryRemoval(id: string, remove: () => Promise<void>): Promise<void> {
    const logFailure = (error: Error) => this.log.error("Container left behind after a failed start", { id, reason: String(error) });
    const { retries } = await removeUntilGone(remove, logFailure);
    await retries;
  }

  /**
   * Removes a container as `docker rm` does; resolves when its name is free.
   * @param idOrName full id, or its name
   * @param options.force also while it runs
   * @param options.volumes also its anonymous volumes; if absent, only those of a container that the engine would remove at its end
   * @param options.info the engine's answer if the container has just been inspected
   * @throws AppError CONTAINER_NOT_FOUND
   */
  async remove(idOrName: string, { force = true, volumes, info }: RemoveOptions = {}): Promise<void> {
    const { Id: id, HostConfig, State } = info ?? (await this.list.findAndInspect(idOrName, { prefix: false }));
    const isAutoRemoved = HostConfig.AutoRemove ?? false;
    // What the engine removes by itself can be gone, and its name still taken, when this removal is refused: that is watched from before it.
    const removal = isAutoRemoved || State.Status === "removing" ? await watchRemoval(this.engine, id) : undefined;
    try {
      await this.engine
        .call((docker) => docker.getContainer(id).remove({ force, v: volumes ?? isAutoRemoved }))
        .catch(async (error: unknown) => {
          if (!isBeingRemoved(error)) throw error;
          await (removal ? removal.done() : awaitRemoval(this.engine, id));
        });
    } finally {
      removal?.close();
      this.list.invalidate();
    }
  }
}

/** Links in the paths of mounts, and the container behind a name, can change after the first check. */
function mustBeCheckedAgain({ volumes, network, pid, ipc }: RunSpec): boolean {
  return Object.keys(volumes).length > 0 || [network, pid, ipc].some((mode) => mode?.startsWith("container:"));
}
