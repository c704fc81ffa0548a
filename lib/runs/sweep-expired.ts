import { RUN_CONTAINER_PREFIX } from "../docker/create/policy";
import { sweepPeriodically } from "../docker/create/sweep-unstarted";
import type { Engine } from "../docker/engine";
import { EMPTY_IMAGE } from "../docker/images/image-prune";
import type { Logger } from "../support/logger";
import { SANDBOX_LABEL } from "./code/sandbox-options";
import { EXPIRES_LABEL, type Reaper } from "./reaper";
import { inspectState } from "./run-limits";

/** Longer than an empty image is in use. */
const EMPTY_IMAGE_MAX_AGE_SECONDS = 300;
/** A sandbox's server reads its exit within this time, if that server is alive: the container isn't needed any more. */
const EXITED_SANDBOX_GRACE_SECONDS = 5;

/**
 * Removes what runs of killed servers have left behind: now, and periodically.
 * @returns stops it
 */
export function sweepExpired(engine: Engine, reaper: Reaper, log: Logger): () => void {
  const sweep = async () => {
    const now = await reaper.clock.refresh();
    const filters = { label: [EXPIRES_LABEL] };
    const containers = await engine.call((docker) => docker.listContainers({ all: true, filters }));
    const exitedBeforeGrace = async (id: string) =>
      Date.parse((await inspectState(engine, id))?.FinishedAt ?? "") / 1000 + EXITED_SANDBOX_GRACE_SECONDS < now;
    for (const { Id, Names, Labels, State } of containers) {
      if (!Names.some((name) => name.startsWith(`/${RUN_CONTAINER_PREFIX}`))) continue;
      const isAbandoned = State === "exited" && SANDBOX_LABEL in Labels && (await exitedBeforeGrace(Id));
      if (!isAbandoned && !isExpired(Labels, now)) continue;
      await reaper.removeContainer(Id);
      log.info("Expired run container removed", { id: Id, name: Names[0] });
    }
    for (const { Name, Labels } of await engine.listVolumes(filters)) {
      if (Name.startsWith(RUN_CONTAINER_PREFIX) && isExpired(Labels, now)) await reaper.removeVolume(Name);
    }
    const imageFilters = { reference: [EMPTY_IMAGE] };
    const images = await engine.call((docker) => docker.listImages({ filters: imageFilters }));
    for (const { RepoTags, Created } of images) {
      if (Created + EMPTY_IMAGE_MAX_AGE_SECONDS < now) for (const tag of RepoTags ?? []) await reaper.removeImage(tag);
    }
  };
  return sweepPeriodically(sweep, log);
}

function isExpired(labels: Record<string, string> | null, now: number): boolean {
  return Number(labels?.[EXPIRES_LABEL] ?? Number.NaN) <= now;
}
