import type { Access } from "../../access/access";
import type { Confinement } from "../../docker/containers/confinement";
import type { Frame } from "../../docker/containers/stream-frames";
import type { Policy } from "../../docker/create/policy";
import type { PolicyGuard } from "../../docker/create/policy-guard";
import type { ContainerCreateOptions, Engine, RegistryAuth } from "../../docker/engine";
import type { Images } from "../../docker/images/images";
import { type Output as OutputFields, outputFields } from "../../support/tail-buffer";
import { commandWarnings, warningFields, withWarnings } from "../../support/warnings";
import { ensureImage } from "../ensure-image";
import type { Reaper } from "../reaper";
import type { RunSignals } from "../run-limits";
import type { Semaphore } from "../semaphore";
import type { NewVolumes } from "../volumes/new-volumes";
import { parseVolumes, type RunVolume, type VolumeEntry } from "../volumes/run-volumes";
import { putContents, type VolumeIo } from "../volumes/volume-io";
import type { JobSpec, Jobs, RunningJob } from "./job";
import { collectOutputs, createScratchVolumes, mountsOf, type ReturnedContent, type ScratchVolumes } from "./job-volumes";

/** A valid request for a one-off run; the names are those of its JSON. */
export interface OneOffRequest {
  image: string;
  command?: string[] | undefined;
  entrypoint?: string[] | undefined;
  env_vars: Record<string, string>;
  pull_policy: "always" | "missing" | "never";
  auth_config?: RegistryAuth | undefined;
  /** such as linux/arm64 */
  platform?: string | undefined;
  volumes: Record<string, VolumeEntry>;
  stdin?: string | undefined;
  /** bytes */
  memory?: number | undefined;
  cpus?: number | undefined;
  pids?: number | undefined;
}

/** Only the run's container has these folders, and its user can be any. */
const SCRATCH_FOLDER_MODE = 0o777;

export interface OneOffSettings {
  /** seconds */
  run_max_time: number;
  /** bytes */
  run_max_output: number;
  /** bytes */
  run_memory: number;
  run_pids: number;
  /** bytes */
  run_files: number;
}

/** Sent to clients as it is. */
export type OneOffResult = {
  status: string;
  exit_code: number;
  volumes: Record<string, ReturnedContent>;
  execution_time: number;
  warnings?: string[];
} & OutputFields;

export interface OneOffDeps {
  engine: Engine;
  images: Images;
  confinement: Confinement;
  policy: Policy;
  guard: PolicyGuard;
  jobs: Jobs;
  slots: Semaphore;
  volumeIo: VolumeIo;
  reaper: Reaper;
  newVolumes: NewVolumes;
}

export interface StartedOneOff {
  /** Waits for the exit and removes everything of the run. Must be called. */
  finish(onFrame?: (frame: Frame) => Promise<void> | void): Promise<OneOffResult>;
}

/** Runs one-off jobs on this host. */
export class OneOffRuns {
  constructor(
    private readonly deps: OneOffDeps,
    private readonly settings: OneOffSettings,
  ) {}

  /**
   * Checks the request, pulls its image, and starts it when a slot is free. If a step fails, everything created is removed.
   * @param access what the client may do
   * @returns undefined if the image is still being pulled
   * @throws AppError naming the field; NOT_ALLOWED, REFUSED_BY_TOKEN, IMAGE_NOT_FOUND, NO_ROOM, ABANDONED, ENGINE_UNREACHABLE
   */
  async start(request: OneOffRequest, access: Access, signals: RunSignals): Promise<StartedOneOff | undefined> {
    access.assertImage(request.image);
    const policy = { ...this.deps.policy, access };
    const volumes = await parseVolumes(request.volumes, policy, this.settings.run_files);
    await this.deps.engine.assertAlive();
    const names = volumes.flatMap(({ type, source }) => (type === "volume" && source ? [source] : []));
    const hold = await this.deps.newVolumes.hold(names);
    try {
      const missingNames = await this.findMissing(names, access);
      const { isPresent, warnings } = await ensureImage(this.deps.images, request, signals.image);
      if (!isPresent) return undefined;
      const releaseSlot = await this.deps.slots.acquire(signals.slot);
      const shellWarnings = commandWarnings(request.command ?? []);
      let scratch: ScratchVolumes | undefined;
      const cleanUp = async () => {
        await scratch?.remove();
        releaseSlot();
      };
      try {
        const labels = access.labels ?? {};
        if (access.labels) await this.deps.confinement.ensureVolumes(names, labels);
        scratch = await createScratchVolumes(this.deps, request.image, volumes, labels, this.settings);
        const job = await this.deps.jobs.start(await this.jobSpec(request, access, volumes, scratch), signals.cancel);
        hold.keep();
        const told = [...warnings, ...shellWarnings];
        return { finish: (onFrame) => this.finish(job, volumes, told, onFrame).finally(cleanUp) };
      } catch (error) {
        await cleanUp();
        // The engine creates missing volumes with the container.
        hold.discard(missingNames);
        throw withWarnings(error, shellWarnings);
      }
    } finally {
      await hold.release();
    }
  }

  /**
   * @returns the names of volumes that don't exist
   * @throws AppError NOT_ALLOWED if the policy refuses an existing one
   */
  private async findMissing(names: string[], access: Access): Promise<string[]> {
    const found = await this.deps.guard.findVolumes(names, "volumes", access);
    return names.filter((name) => !found.some((volume) => volume.Name === name));
  }

  private async jobSpec(request: OneOffRequest, access: Access, volumes: readonly RunVolume[], scratch: ScratchVolumes): Promise<JobSpec> {
    const { settings, deps } = this;
    const { labels } = access;
    const own = labels && { ...(await deps.confinement.labelsToClear(request.image)), ...labels };
    const namedVolumes = volumes.flatMap(({ type, source }) => (type === "volume" && source ? [source] : []));
    const memory = request.memory ?? settings.run_memory;
    const container: ContainerCreateOptions = {
      Image: request.image,
      ...(request.platform === undefined ? {} : { platform: request.platform }),
      ...(own ? { Labels: own } : {}),
      ...(request.command?.length ? { Cmd: request.command } : {}),
      ...(request.entrypoint?.length ? { Entrypoint: request.entrypoint } : {}),
      Env: Object.entries(request.env_vars).map(([name, value]) => `${name}=${value}`),
      ...(request.stdin === undefined ? {} : { OpenStdin: true, StdinOnce: true, AttachStdin: true }),
      HostConfig: {
        Mounts: mountsOf(volumes, scratch) as never,
        // MemorySwap is memory and swap together: equal values allow no swap.
        Memory: memory,
        MemorySwap: memory,
        PidsLimit: request.pids ?? settings.run_pids,
        ...(request.cpus === undefined ? {} : { NanoCpus: Math.round(request.cpus * 1e9) }),
      },
    };
    const contents = volumes.flatMap(({ content, readOnly }) =>
      content && !readOnly ? [{ ...content, ...(content.archive ? { folderMode: SCRATCH_FOLDER_MODE } : {}) }] : [],
    );
    const mounts = volumes.filter(({ type, readOnly }) => type !== "file" || readOnly).map(({ path }) => path);
    return {
      container,
      access,
      stdin: request.stdin === undefined ? undefined : Buffer.from(request.stdin),
      timeoutMs: settings.run_max_time * 1000,
      maxOutputBytes: settings.run_max_output,
      prepare: async (id, made) => {
        if (labels) await deps.confinement.assertMade(id, { ...own, ...made }, labels, namedVolumes);
        if (volumes.some(({ source }) => source !== undefined)) await deps.guard.checkStart(id, access, { ofRun: true });
        await putContents(deps.engine, id, contents, settings.run_files, mounts);
      },
    };
  }

  private async finish(
    job: RunningJob,
    volumes: readonly RunVolume[],
    imageWarnings: readonly string[],
    onFrame?: (frame: Frame) => Promise<void> | void,
  ): Promise<OneOffResult> {
    let collected: Awaited<ReturnType<typeof collectOutputs>> = { contents: {}, warnings: [] };
    const collect = async (id: string) => {
      collected = await collectOutputs(this.deps.engine, id, volumes, this.settings.run_files);
    };
    const { exitCode, limit, durationSeconds, ...output } = await job.finish(onFrame, collect);
    const error = limit ?? (exitCode === 0 ? undefined : exitCode);
    const warnings = [...imageWarnings, ...collected.warnings];
    return {
      status: error === undefined ? "success" : `error: ${error}`,
      ...outputFields(output),
      exit_code: exitCode,
      volumes: collected.contents,
      execution_time: durationSeconds,
      ...warningFields(warnings),
    } as OneOffResult;
  }
}
