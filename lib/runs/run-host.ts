import type { DockerHost } from "../docker/docker-host";
import type { Logger } from "../support/logger";
import { CodeRuns, type CodeSettings } from "./code/code-runs";
import { Jobs } from "./jobs/job";
import { OneOffRuns, type OneOffSettings } from "./jobs/one-off-runs";
import { EngineClock, Reaper } from "./reaper";
import { Semaphore } from "./semaphore";
import { sweepExpired } from "./sweep-expired";
import { Volumes } from "./volumes/named-volumes";
import { NewVolumes } from "./volumes/new-volumes";
import { VolumeIo } from "./volumes/volume-io";

export interface RunSettings extends OneOffSettings, CodeSettings {
  run_concurrency: number;
  /** seconds */
  run_wait: number;
}

/** The runs and volumes of this host, for the routes. */
export interface RunHost {
  oneOffs: OneOffRuns;
  code: CodeRuns;
  volumes: Volumes;
  slots: Semaphore;
  /** Starts to remove periodically what killed servers have left behind. Returns a function that stops it. */
  startSweep(): () => void;
  /** Removes warm sandboxes; resolves when all removals are finished. */
  close(): Promise<void>;
}

export function createRunHost(
  { engine, images, containers, confinement, quotas, policy, guard }: DockerHost,
  settings: RunSettings,
  log: Logger,
): RunHost {
  const reaper = new Reaper(engine, containers, new EngineClock(engine), log);
  const slots = new Semaphore(settings.run_concurrency, settings.run_wait * 1000);
  const jobs = new Jobs({ engine, containers, reaper, quotas });
  const volumeIo = new VolumeIo(engine, reaper, guard);
  const deps = { engine, images, confinement, policy, guard, jobs, slots, reaper, volumeIo, newVolumes: new NewVolumes(reaper) };
  const code = new CodeRuns({ engine, containers, confinement, quotas, reaper, images, slots }, settings, log);
  return {
    code,
    oneOffs: new OneOffRuns(deps, settings),
    volumes: new Volumes(deps, settings.run_files),
    slots,
    startSweep: () => sweepExpired(engine, reaper, log),
    async close() {
      await code.close();
      await reaper.whenIdle();
    },
  };
}
