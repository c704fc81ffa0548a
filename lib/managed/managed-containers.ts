import { isDeepStrictEqual } from "node:util";
import { Access } from "../access/access";
import type { ContainerSummary } from "../docker/containers/container-list";
import { nameAndLabels } from "../docker/containers/container-summary";
import type { NameClaim } from "../docker/create/name-claims";
import type { DockerHost } from "../docker/docker-host";
import type { ContainerInspectInfo } from "../docker/engine";
import { removeUntilGone } from "../docker/remove-until-gone";
import { AppError, isUnavailable } from "../errors";
import { toBytes } from "../support/byte-sizes";
import { KeyedMutex } from "../support/keyed-mutex";
import type { Logger } from "../support/logger";
import { settlesBefore } from "../support/settles-before";
import { chownAppFolder, SHELL_PATH } from "./app-folder";
import { type ApplyOptions, applySpec, hostAccessOf } from "./apply-spec";
import { Compose } from "./compose";
import { HostPorts } from "./host-ports";
import { type ManagedSpec, RESUME_LABEL, readManagedSpec, restoreSpec } from "./managed-spec";
import { finishReplacement, sweepReplacements } from "./replacement";
import { assertStateAllows, type LifecycleAction, wrongStateError } from "./states";

/** State of a change when the wait for it ended; with "pulling" only the image's pull has begun. */
export type Progress = "pulling" | "done";

export interface CreateOptions {
  /** What the client may do. */
  access: Access;
  /** Ends the wait for the image's pull; the operation itself continues in the background. */
  waitSignal: AbortSignal;
  /** Aborted when the node that placed the container here no longer waits; undefined for a local request. */
  callerSignal: AbortSignal | undefined;
}

/** The spec as a request states it; `boot` depends on the image and is determined here. */
export type RequestedSpec = Omit<ManagedSpec, "boot">;

/** The managed containers of this host: each is a Compose project with its own volume, without any file on the host. */
export class ManagedContainers {
  readonly compose: Compose;
  private readonly hostPorts: HostPorts;
  private readonly mutex = new KeyedMutex();
  private readonly pending = new Set<Promise<void>>();

  /** @param user uid:gid that the containers run as; null for the image's own user */
  constructor(
    private readonly docker: DockerHost,
    private readonly user: string | null,
    private readonly log: Logger,
  ) {
    this.compose = new Compose(docker.engine, docker.cli);
    this.hostPorts = new HostPorts(docker.containers);
  }

  /**
   * Creates a container without starting it, pulling its image first if necessary. If the wait ends before the pull, both continue in
   * the background. A failed creation leaves nothing behind.
   * @returns the container as it was created
   * @throws AppError COMPOSE_MISSING, PORT_TAKEN, INVALID_SPEC, COMPOSE_FAILED, NAME_TAKEN, NOT_ALLOWED and those of `Images.ensure`
   */
  async create(cuid: string, requested: RequestedSpec, options: CreateOptions): Promise<"pulling" | ContainerSummary> {
    options.access.assertImage(requested.image);
    await this.compose.assertInstalled();
    await this.docker.engine.assertAlive();
    await this.docker.guard.findVolumes([cuid], "cuid", options.access);
    // Before anything is pulled.
    await this.docker.guard.checkSpec(hostAccessOf(requested), options.access);
    if (options.callerSignal?.aborted) throw new AppError("ABANDONED");
    const release = await this.hostPorts.claim(cuid, requested.ports);
    const ready = this.docker.images.ensure(requested.image, "missing");
    const create = () => this.whileAliasClaimed(requested.name, (confirm) => this.createContainer(cuid, requested, options, confirm));
    const created = ready.then(() => this.mutex.runExclusive(cuid, create)).finally(release);
    if (await settlesBefore(ready, options.waitSignal)) return created;
    const background = created
      .then(
        () => undefined,
        (error: Error) => this.log.error("Managed container not created after 202", { cuid, reason: error.message }),
      )
      .finally(() => this.pending.delete(background));
    this.pending.add(background);
    return "pulling";
  }

  private async createContainer(
    cuid: string,
    requested: RequestedSpec,
    { callerSignal, access }: CreateOptions,
    confirmAlias: () => Promise<void>,
  ): Promise<ContainerSummary> {
    // The image may have been pulled long after the request was answered.
    access.assertLive();
    const { confinement, inventory, names, quotas } = this.docker;
    const room = quotas.open(cuid, access);
    const create = async (claim: NameClaim) => {
      const { labels } = access;
      // Compose would mount an existing volume of this name.
      if (labels && (await inventory.hasVolumes([cuid])) && !(await confinement.hasVolume(cuid, labels)))
        throw new AppError("NAME_TAKEN", { details: { name: cuid } });
      return this.rollbackOnError(cuid, async () => {
        const spec = { ...requested, boot: SHELL_PATH };
        const container = await this.apply(cuid, spec, { resume: false, unknownImage: true, first: true, access });
        if (this.user !== null) await chownAppFolder(this.docker.engine, container.id, this.user);
        await claim.confirm();
        await confirmAlias();
        // After the name: a repeated request finds its container although nothing more fits.
        await room.confirm();
        if (callerSignal?.aborted) throw new AppError("ABANDONED");
        return container;
      });
    };
    return names.whileClaimed(cuid, create).finally(() => room.close());
  }

  /** @param work gets `confirm`, which must be called before the work is done and throws AppError NAME_TAKEN */
  private whileAliasClaimed<T>(alias: string | undefined, work: (confirm: () => Promise<void>) => Promise<T>): Promise<T> {
    if (alias === undefined) return work(async () => undefined);
    return this.docker.names.whileClaimed(alias, ({ confirm }) => work(confirm));
  }

  /** Runs `work`; if it fails, removes the container and its volume before rethrowing. */
  private async rollbackOnError<T>(cuid: string, work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      const removed = this.downUntilRemoved(cuid);
      // An unreachable engine can take minutes to return: answer now, remove later.
      if (!isUnavailable(error)) await removed;
      throw error;
    } finally {
      this.docker.containers.invalidate();
    }
  }

  // An engine that was unreachable may still complete the creation when it returns: retry until it answers.
  private async downUntilRemoved(cuid: string): Promise<void> {
    const { retries } = await removeUntilGone(
      () => this.compose.down(cuid),
      (error) => this.log.error("Managed container not rolled back", { cuid, reason: String(error) }),
    );
    await retries;
  }

  /**
   * Replaces a container by one with a changed spec: it runs again if it ran, and its /app volume is kept. A failed change restores the
   * previous container.
   * @param edit makes the new spec from the current one
   * @param access what the client may do
   * @param startWait begins the wait for a new image's pull and gives the signal that ends it; the pull continues, and a repeated call
   * joins it
   * @throws AppError NOT_MANAGED, WRONG_STATE, REFUSED_BY_TOKEN and those of `create`
   */
  async change(
    container: ContainerSummary,
    edit: (spec: RequestedSpec) => RequestedSpec,
    access: Access,
    startWait: () => AbortSignal,
  ): Promise<Progress> {
    if (!readManagedSpec(container)) throw new AppError("NOT_MANAGED");
    await this.compose.assertInstalled();
    const cuid = container.name;
    return this.mutex.runExclusive(cuid, async () => {
      await finishReplacement(this.docker, cuid);
      const info = await this.inspect((await this.docker.containers.find(cuid, { prefix: false })).id);
      assertStateAllows("change", info.State.Status);
      const before = this.specOf(info);
      const after = { ...edit(before), boot: before.boot };
      if (isDeepStrictEqual(before, after)) return "done";
      access.assertImage(after.image);
      // What the label says passes the policy again, before anything is replaced.
      await this.docker.guard.checkSpec(hostAccessOf(after), access);
      const release = await this.hostPorts.claim(cuid, after.ports);
      try {
        const ready = this.docker.images.ensure(after.image, "missing");
        if (!(await settlesBefore(ready, startWait()))) {
          ready.catch((error: Error) => this.log.warn("Image of a change not pulled", { cuid, reason: error.message }));
          return "pulling";
        }
        await ready;
        const { memory = "0", cpus = 0 } = after.resources;
        const limits = { memory: toBytes(memory), cpus };
        const newAlias = after.name === before.name ? undefined : after.name;
        await this.whileAliasClaimed(newAlias, async (confirm) => {
          await confirm();
          await this.docker.quotas.whileChanging({ id: info.Id, name: cuid }, limits, access, () =>
            this.replace(cuid, info, before, after, access),
          );
        });
      } finally {
        release();
        this.docker.containers.invalidate();
      }
      return "done";
    });
  }

  private apply(cuid: string, spec: ManagedSpec, options: ApplyOptions): Promise<ContainerSummary> {
    return applySpec({ docker: this.docker, compose: this.compose, user: this.user }, cuid, spec, options);
  }

  /** Applies the new spec, and the previous one again if that fails. */
  private async replace(
    cuid: string,
    { State, Config }: ContainerInspectInfo,
    before: ManagedSpec,
    after: ManagedSpec,
    access: Access,
  ): Promise<void> {
    const unknownImage = after.image !== before.image;
    const stopSeconds = Math.max(before.stop_timeout ?? 0, after.stop_timeout ?? 0);
    const spec = unknownImage ? { ...after, boot: SHELL_PATH } : after;
    try {
      await this.apply(cuid, spec, { resume: State.Running, unknownImage, stopSeconds, access });
    } catch (error) {
      const resume = Config.Labels?.[RESUME_LABEL] === "true";
      const restored = { resume, unknownImage: false, start: State.Running, stopSeconds, access: Access.full };
      await this.apply(cuid, before, restored).catch((failure: Error) => {
        this.log.error("Managed container not restored after a failed change", { cuid, reason: failure.message });
      });
      throw error;
    }
  }

  /**
   * Runs a lifecycle action if the container's state allows it. Containers that are not managed are not checked here: the engine's own
   * errors apply.
   * @param work performs the action on the container with this id
   * @throws AppError WRONG_STATE
   */
  async changeState(container: ContainerSummary, action: LifecycleAction, work: (id: string) => Promise<void>): Promise<void> {
    if (!readManagedSpec(container)) return work(container.id);
    await this.mutex.runExclusive(container.name, async () => {
      const { id } = await this.docker.containers.find(container.name, { prefix: false });
      const { Status } = (await this.inspect(id)).State;
      assertStateAllows(action, Status);
      await work(id).catch((error: AppError) => {
        throw error.code === "NOT_RUNNING" ? wrongStateError(action, Status) : error;
      });
    });
  }

  /**
   * Removes a managed container with its volume.
   * @returns false if the container is not managed, and was not removed
   */
  async remove(container: Pick<ContainerSummary, "name" | "labels">): Promise<boolean> {
    if (!readManagedSpec(container)) return false;
    await this.compose.assertInstalled();
    await this.mutex.runExclusive(container.name, () =>
      this.compose.down(container.name).finally(() => this.docker.containers.invalidate()),
    );
    return true;
  }

  /**
   * Completes replacements that a killed server left unfinished: now, and every minute.
   * @returns stops the sweep
   */
  sweep(): () => void {
    return sweepReplacements(this.docker, this.mutex, this.log);
  }

  /** Resolves when no creation or change is running in the background. */
  async whenIdle(): Promise<void> {
    await Promise.all([...this.pending, this.mutex.whenIdle()]);
  }

  private inspect(id: string): Promise<ContainerInspectInfo> {
    return this.docker.engine.call((docker) => docker.getContainer(id).inspect());
  }

  private specOf(info: ContainerInspectInfo): ManagedSpec {
    const stored = readManagedSpec(nameAndLabels(info));
    if (!stored) throw new AppError("NOT_MANAGED");
    return restoreSpec(stored, info.Config.Env ?? []);
  }
}
