import type { Readable } from "node:stream";
import { text } from "node:stream/consumers";
import { setTimeout as sleep } from "node:timers/promises";
import type { ContainerInspectInfo } from "dockerode";
import { AppError, isNotFound, isUnavailable } from "../../errors";
import type { Logger } from "../../support/logger";
import { settlesBefore } from "../../support/settles-before";
import { createArgs, envFile } from "../cli/create-args";
import type { Cli } from "../cli/docker-cli";
import { type Collected, collect } from "../containers/collect-output";
import type { ContainerList } from "../containers/container-list";
import type { Engine } from "../engine";
import { fromEngine } from "../engine-errors";
import type { Images } from "../images/images";
import { checkPolicy, type Policy } from "./policy";
import type { RunSpec } from "./run-spec";
import { RUN_LABEL } from "./sweep-unstarted";
import { permittedVolumes } from "./volume-policy";

/** While the engine is gone, what is to be removed is tried again after so long (ms). */
const DISCARD_PAUSE = 500;

/** How far a run came before its wait ended. */
export type Outcome =
  | { status: "pulling" }
  | { status: "running"; id: string }
  | ({ status: "exited"; id: string; exit_code: number } & Collected);

export interface RunOptions {
  /** Don't wait for its end. */
  detach: boolean;
  /** bytes kept of each output stream */
  limit: number;
  /** Ends the wait: what is under way goes on. */
  enough: AbortSignal;
  /** Aborted when whoever placed the run here no longer waits for it: what has not begun by then must not begin. */
  abandoned?: AbortSignal | undefined;
  /** Called when one that is waited for has started and is in the list. */
  started: () => void;
  /** Keeps the name to one container where there are other hosts. */
  claims?: NameClaims | undefined;
}

/** Makes sure that no other host has a container of the same name. */
export interface NameClaims {
  /** Before the create; `confirm` before the start, `recheck` after it, `close` at the end. */
  open(name: string): { confirm: () => Promise<void>; recheck: () => Promise<void>; close: () => void };
}

type StartOptions = Pick<RunOptions, "abandoned" | "claims">;

function refuseAbandoned({ abandoned }: StartOptions): void {
  if (abandoned?.aborted) throw new AppError("ABANDONED");
}

/** Creates and starts containers on this host. */
export class Runner {
  /** Runs whose image is still being pulled after their request was answered. */
  private readonly later = new Set<Promise<void>>();
  /** Names of containers between create and start. */
  private readonly making = new Set<string>();

  constructor(
    private readonly engine: Engine,
    private readonly cli: Cli,
    private readonly images: Images,
    private readonly list: ContainerList,
    private readonly policy: Policy,
    private readonly log: Logger,
  ) {}

  /**
   * Runs a container, pulling its image first if need be. If it can't be started, no container is left.
   * @returns how far it came: `exited` only if it was waited for and has ended
   * @throws AppError NOT_ALLOWED, NAME_TAKEN, PORT_TAKEN, INVALID_SPEC, and those of `Images.ensure`
   */
  async run(spec: RunSpec, options: RunOptions): Promise<Outcome> {
    await this.check(spec);
    refuseAbandoned(options);
    const ready = this.images.ensure(spec.image, spec.pull, spec.platform);
    if (!(await settlesBefore(ready, options.enough))) {
      this.runLater(spec, ready, options);
      return { status: "pulling" };
    }
    await ready;
    if (options.detach) return { status: "running", id: await this.detached(spec, options) };
    return this.foreground(spec, options);
  }

  private runLater(spec: RunSpec, ready: Promise<void>, { claims }: RunOptions): void {
    const later = ready
      .then(() => this.detached(spec, { claims }))
      .then((id) => this.log.info("a container runs after its image was pulled", { id, name: spec.name }))
      .catch((error: Error) =>
        this.log.error("a container can't be run after its request was answered", { name: spec.name, reason: error.message }),
      )
      .finally(() => this.later.delete(later));
    this.later.add(later);
  }

  /** Whether a container of that name is just being made here. */
  isMaking(name: string): boolean {
    return this.making.has(name);
  }

  /** Resolves when what was answered "it goes on" has gone on as far as it will. */
  async idle(): Promise<void> {
    await Promise.all(this.later);
  }

  // Before anything is pulled or made.
  private async check(spec: RunSpec): Promise<void> {
    checkPolicy(spec, this.policy);
    await this.engine.assertAlive();
    const named = Object.keys(spec.volumes).filter((source) => !source.startsWith("/"));
    await permittedVolumes(this.engine, this.policy, named, "volumes");
  }

  private async detached(spec: RunSpec, options: StartOptions): Promise<string> {
    const { id } = await this.start(spec, options, async () => undefined);
    return id;
  }

  private async foreground(spec: RunSpec, options: RunOptions): Promise<Outcome> {
    const { limit, enough, started } = options;
    const { id, prepared } = await this.start(spec, options, async (made) => ({
      output: await this.engine.stream("POST", `/containers/${made}/attach`, { query: { stream: true, stdout: true, stderr: true } }),
      // The headers of this wait must be there before the start, or a container that ends at once is never noticed.
      ending: await this.engine.stream("POST", `/containers/${made}/wait`, { query: { condition: spec.remove ? "removed" : "next-exit" } }),
    }));
    started();
    const { output, ending } = prepared;
    const collected = await collect(output, false, limit, enough);
    const exit_code = collected.ended ? await exitCode(ending, enough) : null;
    ending.destroy();
    this.list.changed();
    return exit_code === null ? { status: "running", id } : { status: "exited", ...collected, id, exit_code };
  }

  /** Creates, prepares and starts; if any of it fails, no container is left. */
  private async start<T>(
    spec: RunSpec,
    { abandoned, claims }: StartOptions,
    prepare: (id: string) => Promise<T>,
  ): Promise<{ id: string; prepared: T }> {
    const claim = claims?.open(spec.name);
    this.making.add(spec.name);
    try {
      refuseAbandoned({ abandoned });
      const id = await this.create(spec);
      const prepared = await this.orRemove(id, async () => {
        const ready = await prepare(id);
        await claim?.confirm();
        refuseAbandoned({ abandoned });
        await this.engine.call((docker, abortSignal) => docker.getContainer(id).start({ abortSignal }), "start");
        await claim?.recheck();
        return ready;
      });
      this.list.changed();
      return { id, prepared };
    } finally {
      this.making.delete(spec.name);
      claim?.close();
    }
  }

  private async create(spec: RunSpec): Promise<string> {
    const { lines, rest } = envFile(spec.env);
    const labelled = { ...spec, labels: { ...spec.labels, [RUN_LABEL]: spec.name } };
    const creating = this.cli("create", createArgs(labelled), lines || undefined).then((answer) => answer.trim());
    const inTime = settlesBefore(creating, AbortSignal.timeout(this.engine.readTimeout));
    if (!(await this.engine.whileAlive(inTime, "create").catch(() => false))) {
      // The engine stands still. Should it make the container after all, nobody waits for it any more.
      creating.then((id) => this.discard(id)).catch((error) => this.log.warn("a create that came too late", { reason: String(error) }));
      throw new AppError("ENGINE_UNREACHABLE");
    }
    const id = await creating;
    this.list.changed();
    if (Object.keys(rest).length === 0) return id;
    return this.withEnvironment(id, spec.name, rest);
  }

  // Values of several lines fit in no env file: the Engine API makes the same container again with them.
  private async withEnvironment(id: string, name: string, rest: Record<string, string>): Promise<string> {
    const made = await this.engine.call((docker, abortSignal) => docker.getContainer(id).inspect({ abortSignal }));
    await this.remove(id);
    const again = await this.engine.call((docker) => docker.createContainer(sameAs(made, name, rest)), "start");
    this.list.changed();
    return again.id;
  }

  private async orRemove<T>(id: string, work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      const failure = fromEngine(error, "start");
      const discarded = this.discard(id);
      if (!isUnavailable(failure)) await discarded;
      throw failure;
    }
  }

  // An engine that is gone may still start it as it comes back: it is removed then.
  private async discard(id: string): Promise<void> {
    for (;;) {
      try {
        return await this.remove(id);
      } catch (error) {
        if (isNotFound(error)) return;
        if (!isUnavailable(error)) {
          return this.log.error("a container that failed to start is left", { id, reason: String(error) });
        }
        await sleep(DISCARD_PAUSE, undefined, { ref: false });
      }
    }
  }

  /**
   * Removes a container, unless told otherwise by force, running or not.
   * @param id full id
   * @throws AppError CONTAINER_NOT_FOUND
   */
  async remove(id: string, { force } = { force: true }): Promise<void> {
    try {
      await this.engine.call((docker, abortSignal) => docker.getContainer(id).remove({ force, abortSignal }));
    } catch (error) {
      // With --rm the engine may be at it already.
      if (!(error instanceof AppError && /removal of container .* is already in progress/i.test(error.message))) throw error;
    } finally {
      this.list.changed();
    }
  }
}

async function exitCode(ending: Readable, enough: AbortSignal): Promise<number | null> {
  const answer = text(ending).catch((error) => {
    throw fromEngine(error);
  });
  if (!(await settlesBefore(answer, enough))) return null;
  return (JSON.parse(await answer) as { StatusCode: number }).StatusCode;
}

function sameAs(made: ContainerInspectInfo, name: string, rest: Record<string, string>) {
  const { Config, HostConfig, Platform } = made;
  const { Hostname, ...config } = Config;
  const env = Object.entries(rest).map(([key, value]) => `${key}=${value}`);
  return {
    ...config,
    // The engine's own choice, the start of the id, is not to be taken over.
    ...(made.Id.startsWith(Hostname) ? {} : { Hostname }),
    name,
    Env: [...(Config.Env ?? []), ...env],
    HostConfig,
    ...(Platform && Platform !== "linux" ? { platform: Platform } : {}),
  };
}
