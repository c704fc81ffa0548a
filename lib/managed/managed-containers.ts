import { setTimeout as sleep } from "node:timers/promises";
import { isDeepStrictEqual } from "node:util";
import type { ContainerSummary } from "../docker/containers/container-list";
import type { NameClaims } from "../docker/create/runner";
import { sweepRegularly } from "../docker/create/sweep-unstarted";
import type { DockerHost } from "../docker/docker-host";
import type { ContainerInspectInfo } from "../docker/engine";
import { AppError, isUnavailable } from "../errors";
import { KeyedMutex } from "../support/keyed-mutex";
import type { Logger } from "../support/logger";
import { settlesBefore } from "../support/settles-before";
import { chownAppFolder } from "./app-folder";
import { findBootInterpreter, bootEntrypoint, SHELL_PATH } from "./boot";
import { Compose } from "./compose";
import { composeDocument } from "./compose-document";
import { type ManagedSpec, RESUME_LABEL, readManagedSpec, restoreSpec } from "./managed-spec";
import { HostPorts } from "./host-ports";
import { finishReplacement, unfinishedReplacements } from "./replacement";
import { type LifecycleAction, assertStateAllows, wrongStateError } from "./states";

/** While the engine is gone, what is to be removed is tried again after so long (ms). */
const ROLLBACK_RETRY_MS = 500;

/** How far it came while it was waited for: if the image is still being pulled, nothing else has been done yet. */
export type Progress = "pulling" | "done";

export interface CreateOptions {
  /** Ends the wait for the image's pull: what is under way goes on. */
  waitSignal: AbortSignal;
  /** Aborted when whoever placed it here no longer waits for it. */
  callerSignal: AbortSignal | undefined;
  /** Keeps the name to one container where there are other hosts. */
  claims: NameClaims | undefined;
}

/** What a caller asks for; the rest is found out. */
export type RequestedSpec = Omit<ManagedSpec, "boot">;

interface ApplyOptions {
  /** It takes the place of a running one. */
  resume: boolean;
  /** As `resume` if absent. */
  start?: boolean;
  /** Of this image nothing is known yet. */
  unknownImage: boolean;
  /** There is no container yet. */
  first?: boolean;
}

/** The managed containers of this host: each a Compose project with a volume of its own, and no file. */
export class ManagedContainers {
  readonly compose: Compose;
  private readonly hostPorts: HostPorts;
  private readonly mutex = new KeyedMutex();
  private readonly pending = new Set<Promise<void>>();

  /** @param user uid:gid that they run as; the image's own if null */
  constructor(
    private readonly docker: DockerHost,
    private readonly user: string | null,
    private readonly log: Logger,
  ) {
    this.compose = new Compose(docker.engine, docker.cli);
    this.hostPorts = new HostPorts(docker.containers);
  }

  /**
   * Creates a container and doesn't start it, pulling its image first if need be: if that takes longer, it goes on by itself.
   * If it can't be created nothing is left.
   * @throws AppError COMPOSE_MISSING, PORT_TAKEN, INVALID_SPEC, COMPOSE_FAILED, NAME_TAKEN and those of `Images.ensure`
   */
  async create(cuid: string, wanted: RequestedSpec, options: CreateOptions): Promise<Progress> {
    await this.compose.assertInstalled();
    await this.docker.engine.assertAlive();
    if (options.callerSignal?.aborted) throw new AppError("ABANDONED");
    const release = await this.hostPorts.claim(cuid, wanted.ports);
    const ready = this.docker.images.ensure(wanted.image, "missing");
    const made = ready.then(() => this.mutex.runExclusive(cuid, () => this.createContainer(cuid, wanted, options))).finally(release);
    if (await settlesBefore(ready, options.waitSignal)) {
      await made;
      return "done";
    }
    const later = made
      .catch((error: Error) =>
        this.log.error("a managed container can't be created after its request was answered", { cuid, reason: error.message }),
      )
      .finally(() => this.pending.delete(later));
    this.pending.add(later);
    return "pulling";
  }

  private async createContainer(cuid: string, wanted: RequestedSpec, { callerSignal, claims }: CreateOptions): Promise<void> {
    const claim = claims?.open(cuid);
    try {
      if ((await this.docker.containers.holding(cuid)).exact.length > 0) {
        throw new AppError("NAME_TAKEN", { message: `The name ${cuid} is taken`, details: { name: cuid } });
      }
      await this.rollbackOnError(cuid, async () => {
        const id = await this.apply(cuid, { ...wanted, boot: SHELL_PATH }, { resume: false, unknownImage: true, first: true });
        if (this.user !== null) await chownAppFolder(this.docker.engine, id, this.user);
        await claim?.confirm();
        if (callerSignal?.aborted) throw new AppError("ABANDONED");
      });
    } finally {
      claim?.close();
    }
  }

  private async rollbackOnError(cuid: string, work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      const discarded = this.downUntilRemoved(cuid);
      if (!isUnavailable(error)) await discarded;
      throw error;
    } finally {
      this.docker.containers.changed();
    }
  }

  // An engine that is gone may still make it as it comes back: it is removed then.
  private async downUntilRemoved(cuid: string): Promise<void> {
    for (;;) {
      try {
        return await this.compose.down(cuid);
      } catch (error) {
        if (!isUnavailable(error)) {
          return this.log.error("a managed container that can't be created is left", { cuid, reason: String(error) });
        }
        await sleep(ROLLBACK_RETRY_MS, undefined, { ref: false });
      }
    }
  }

  /**
   * Makes a container anew, of what it was and what is to be other: one that runs then runs again, and what is in its folder stays.
   * If that can't be it is as it was.
   * @param edit of its spec
   * @param enough ends the wait for a new image's pull; asked again, it joins
   * @throws AppError NOT_MANAGED, WRONG_STATE and those of `create`
   */
  async change(given: ContainerSummary, edit: (spec: RequestedSpec) => RequestedSpec, enough: AbortSignal): Promise<Progress> {
    if (!readManagedSpec(given)) throw new AppError("NOT_MANAGED");
    await this.compose.assertInstalled();
    const cuid = given.name;
    return this.mutex.runExclusive(cuid, async () => {
      await finishReplacement(this.docker, cuid);
      const info = await this.inspect((await this.docker.containers.find(cuid, { prefix: false })).id);
      assertStateAllows("change", info.State.Status);
      const before = this.specOf(info);
      const after = { ...before, ...edit(before) };
      if (isDeepStrictEqual(before, after)) return "done";
      const release = await this.hostPorts.claim(cuid, after.ports);
      try {
        const ready = this.docker.images.ensure(after.image, "missing");
        if (!(await settlesBefore(ready, enough))) {
          ready.catch((error: Error) => this.log.warn("the image of a change can't be pulled", { cuid, reason: error.message }));
          return "pulling";
        }
        await ready;
        await this.replace(cuid, info, before, after);
      } finally {
        release();
        this.docker.containers.changed();
      }
      return "done";
    });
  }

  private async replace(cuid: string, { State, Config }: ContainerInspectInfo, before: ManagedSpec, after: ManagedSpec): Promise<void> {
    const fresh = after.image !== before.image;
    try {
      await this.apply(cuid, fresh ? { ...after, boot: SHELL_PATH } : after, { resume: State.Running, unknownImage: fresh });
    } catch (error) {
      const resume = Config.Labels?.[RESUME_LABEL] === "true";
      await this.apply(cuid, before, { resume, unknownImage: false, start: State.Running }).catch((failure: Error) => {
        this.log.error("a managed container that can't be changed is not as it was", { cuid, reason: failure.message });
      });
      throw error;
    }
  }

  /** @returns id of the container */
  private async apply(cuid: string, spec: ManagedSpec, how: ApplyOptions): Promise<string> {
    const { engine, containers } = this.docker;
    const start = how.start ?? how.resume;
    const image = await engine.call((docker, abortSignal) => docker.getImage(spec.image).inspect({ abortSignal } as object));
    const own = [image.Config.Entrypoint ?? [], image.Config.Cmd ?? []].flat();
    const document = (boot: string) => {
      const made = { ...spec, boot };
      return composeDocument(cuid, made, { entry: bootEntrypoint(made, own), user: this.user ?? undefined, resume: how.resume });
    };
    const up = (boot: string, options: { start: boolean }) => {
      const work = () => this.compose.up(cuid, document(boot), options);
      return how.first ? work() : containers.replacing(cuid, work);
    };
    const find = async () => {
      containers.changed();
      return (await containers.find(cuid, { prefix: false })).id;
    };
    // Only in a container that is there can be looked who will look.
    const looks = how.unknownImage && spec.command === undefined;
    await up(spec.boot, { start: start && !looks });
    const id = await find();
    if (!looks) return id;
    const boot = await findBootInterpreter(engine, id);
    if (start || boot !== spec.boot) await up(boot, { start });
    return find();
  }

  /**
   * Does to a container what may be done to it in its state; what isn't managed says itself what it can't.
   * @param work gets the id
   * @throws AppError WRONG_STATE
   */
  async changeState(given: ContainerSummary, action: LifecycleAction, work: (id: string) => Promise<void>): Promise<void> {
    if (!readManagedSpec(given)) return work(given.id);
    await this.mutex.runExclusive(given.name, async () => {
      const { id } = await this.docker.containers.find(given.name, { prefix: false });
      const { Status } = (await this.inspect(id)).State;
      assertStateAllows(action, Status);
      await work(id).catch((error: AppError) => {
        throw error.code === "NOT_RUNNING" ? wrongStateError(action, Status) : error;
      });
    });
  }

  /**
   * Removes a managed container with its volume.
   * @returns whether it is one
   */
  async remove(given: ContainerSummary): Promise<boolean> {
    if (!readManagedSpec(given)) return false;
    await this.compose.assertInstalled();
    await this.mutex.runExclusive(given.name, () => this.compose.down(given.name).finally(() => this.docker.containers.changed()));
    return true;
  }

  /**
   * Ends what a server that was killed has left half done: at once, and every minute.
   * @returns ends it
   */
  sweep(): () => void {
    return sweepRegularly(async () => {
      const { containers } = await this.docker.containers.read();
      for (const cuid of unfinishedReplacements(containers).filter((each) => !this.mutex.isBusy(each))) {
        await this.mutex
          .runExclusive(cuid, () => finishReplacement(this.docker, cuid))
          .then(
            () => this.log.info("a managed container whose change was cut off is whole again", { cuid }),
            (error: Error) =>
              this.log.warn("a managed container whose change was cut off can't be made whole", { cuid, reason: error.message }),
          );
      }
    }, this.log);
  }

  /** Resolves when what was answered "it goes on" has gone on as far as it will. */
  async idle(): Promise<void> {
    await Promise.all([...this.pending, this.mutex.idle()]);
  }

  private inspect(id: string): Promise<ContainerInspectInfo> {
    return this.docker.engine.call((docker, abortSignal) => docker.getContainer(id).inspect({ abortSignal }));
  }

  private specOf({ Name, Config }: ContainerInspectInfo): ManagedSpec {
    const kept = readManagedSpec({ name: Name.slice(1), labels: Config.Labels ?? {} });
    if (!kept) throw new AppError("NOT_MANAGED");
    return restoreSpec(kept, Config.Env ?? []);
  }
}
