import type { Frame } from "../../docker/containers/stream-frames";
import type { Policy } from "../../docker/create/policy";
import { findAllowedVolumes } from "../../docker/create/volume-policy";
import type { ContainerCreateOptions, Engine, RegistryAuth } from "../../docker/engine";
import type { Images } from "../../docker/images/images";
import { type Output as OutputFields, outputFields } from "../../support/tail-buffer";
import type { Reaper } from "../reaper";
import type { Semaphore } from "../semaphore";
import type { VolumeHold, NewVolumes } from "../volumes/new-volumes";
import { type RunVolume, parseVolumes, type VolumeEntry } from "../volumes/run-volumes";
import { putContents, type VolumeIo } from "../volumes/volume-io";
import { collectOutputs, type ReturnedContent } from "./collect-outputs";
import { ensureImage } from "../ensure-image";
import type { Jobs, RunningJob } from "./job";
import { mountsOf, type ScratchVolumes, createScratchVolumes } from "./job-volumes";

/** A one-off run that is asked for, its form checked. */
export interface OneOffRequest {
  image: string;
  command?: string[] | undefined;
  entrypoint?: string[] | undefined;
  env_vars: Record<string, string>;
  pull_policy: "always" | "missing" | "never";
  auth_config?: RegistryAuth | undefined;
  volumes: Record<string, VolumeEntry>;
  stdin?: string | undefined;
  /** bytes */
  memory?: number | undefined;
  cpus?: number | undefined;
  pids?: number | undefined;
}

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

export type OneOffResult = {
  status: string;
  exit_code: number;
  volumes: Record<string, ReturnedContent>;
  execution_time: number;
  warnings?: string[];
} & OutputFields;

/** What this host has for runs. */
export interface OneOffDeps {
  engine: Engine;
  images: Images;
  policy: Policy;
  jobs: Jobs;
  slots: Semaphore;
  volumeIo: VolumeIo;
  reaper: Reaper;
  newVolumes: NewVolumes;
}

export interface StartedOneOff {
  /** Waits for its end; nothing of it is left then. Must be called. */
  finish(onFrame?: (frame: Frame) => Promise<void> | void): Promise<OneOffResult>;
}

/** Runs one-off jobs on this host. */
export class OneOffRuns {
  constructor(
    private readonly tools: OneOffDeps,
    private readonly settings: OneOffSettings,
  ) {}

  /**
   * Checks all of it, pulls its image, and starts it as soon as there is a place. If any of it fails, nothing is left.
   * @param ended ends it early
   * @param enough ends the wait for the image
   * @returns undefined if its image is still being pulled
   */
  async start(asked: OneOffRequest, ended: AbortSignal, enough: AbortSignal): Promise<StartedOneOff | undefined> {
    const places = await parseVolumes(asked.volumes, this.tools.policy, this.settings.run_files);
    await this.tools.engine.assertAlive();
    const names = places.flatMap(({ type, source }) => (type === "volume" && source ? [source] : []));
    const held = await this.tools.newVolumes.hold(names);
    try {
      return await this.startHeld(asked, places, names, held, ended, enough);
    } finally {
      await held.release();
    }
  }

  private async startHeld(
    asked: OneOffRequest,
    places: RunVolume[],
    names: string[],
    held: VolumeHold,
    ended: AbortSignal,
    enough: AbortSignal,
  ): Promise<StartedOneOff | undefined> {
    const { tools, settings } = this;
    const absent = await this.absent(names);
    const warnings: string[] = [];
    if (!(await ensureImage(tools.images, asked, enough, warnings))) return undefined;
    const leave = await tools.slots.acquire(ended);
    let scratch: ScratchVolumes | undefined;
    try {
      scratch = await createScratchVolumes(tools, asked.image, places, settings);
      const job = await tools.jobs.start(this.jobOf(asked, places, scratch), ended);
      held.keep();
      const made = scratch;
      return { finish: (onFrame) => this.finish(job, places, warnings, onFrame).finally(() => close(made)) };
    } catch (error) {
      await close(scratch);
      held.discard(absent);
      throw error;
    }

    async function close(made: ScratchVolumes | undefined): Promise<void> {
      await made?.remove();
      leave();
    }
  }

  /** @returns names of volumes that aren't there: Docker makes them */
  private async absent(names: string[]): Promise<string[]> {
    const found = await findAllowedVolumes(this.tools.engine, this.tools.policy, names, "volumes");
    return names.filter((name) => !found.some((volume) => volume.Name === name));
  }

  private jobOf(asked: OneOffRequest, places: readonly RunVolume[], scratch: ScratchVolumes) {
    const { settings, tools } = this;
    const memory = asked.memory ?? settings.run_memory;
    const container: ContainerCreateOptions = {
      Image: asked.image,
      ...(asked.command?.length ? { Cmd: asked.command } : {}),
      ...(asked.entrypoint?.length ? { Entrypoint: asked.entrypoint } : {}),
      Env: Object.entries(asked.env_vars).map(([name, value]) => `${name}=${value}`),
      ...(asked.stdin === undefined ? {} : { OpenStdin: true, StdinOnce: true, AttachStdin: true }),
      HostConfig: {
        Mounts: mountsOf(places, scratch) as never,
        // No swap beside it, or the limit would be another.
        Memory: memory,
        MemorySwap: memory,
        PidsLimit: asked.pids ?? settings.run_pids,
        ...(asked.cpus === undefined ? {} : { NanoCpus: Math.round(asked.cpus * 1e9) }),
      },
    };
    const contents = places.flatMap(({ content, readOnly }) => (content && !readOnly ? [content] : []));
    return {
      container,
      stdin: asked.stdin === undefined ? undefined : Buffer.from(asked.stdin),
      time: settings.run_max_time * 1000,
      output: settings.run_max_output,
      fill: (id: string) => putContents(tools.engine, id, contents, settings.run_files),
    };
  }

  private async finish(job: RunningJob, places: readonly RunVolume[], warnings: string[], onFrame?: (frame: Frame) => Promise<void> | void) {
    const volumes: Record<string, ReturnedContent> = {};
    const collect = (id: string) => collectOutputs(this.tools.engine, id, places, this.settings.run_files, volumes, warnings);
    const { exit_code, limit, seconds, ...output } = await job.finish(onFrame, collect);
    const code = limit ?? (exit_code === 0 ? undefined : exit_code);
    return {
      status: code === undefined ? "success" : `error: ${code}`,
      ...outputFields(output),
      exit_code,
      volumes,
      execution_time: seconds,
      ...(warnings.length > 0 ? { warnings } : {}),
    } as OneOffResult;
  }
}
