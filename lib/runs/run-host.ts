import type { DockerHost } from "../docker/docker-host";
import type { Logger } from "../support/logger";
import { CodeRuns, type CodeSettings } from "./code/code-runs";
import { EngineClock } from "./engine-clock";
import { Jobs } from "./jobs/job";
import { type OneOffSettings, OneOffRuns } from "./jobs/one-off-runs";
import { Reaper } from "./reaper";
import { Semaphore } from "./semaphore";
import { sweepExpired } from "./sweep-expired";
import { NewVolumes } from "./volumes/new-volumes";
import { VolumeIo } from "./volumes/volume-io";
import { Volumes } from "./volumes/volumes";

export interface RunSettings extends OneOffSettings, CodeSettings {
  run_concurrency: number;
  /** seconds */
  run_wait: number;
}

/** Runs and volumes of this host, as the routes use them. */
export interface RunHost {
  oneOffs: OneOffRuns;
  code: CodeRuns;
  volumes: Volumes;
  slots: Semaphore;
  /** Removes from now on what killed servers have left. Returns what ends it. */
  startSweep(): () => void;
  /** Removes what waits for runs; resolves when all that was to be removed is. */
  close(): Promise<void>;
}

/** Puts this host's runs together. */
export function createRunHost({ engine, images, containers, policy }: DockerHost, settings: RunSettings, log: Logger): RunHost {
  const leftovers = new Reaper(engine, containers, new EngineClock(engine), log);
  const slots = new Semaphore(settings.run_concurrency, settings.run_wait * 1000);
  const jobs = new Jobs({ engine, containers, reaper: leftovers });
  const helper = new VolumeIo(engine, leftovers);
  const tools = { engine, images, policy, jobs, slots, leftovers, helper, newVolumes: new NewVolumes(leftovers) };
  const code = new CodeRuns({ engine, containers, reaper: leftovers, images, slots }, settings, log);
  return {
    code,
    oneOffs: new OneOffRuns(tools, settings),
    volumes: new Volumes(tools, settings.run_files),
    slots,
    startSweep: () => sweepExpired(engine, leftovers, log),
    async close() {
      await code.close();
      await leftovers.idle();
    },
  };
}
