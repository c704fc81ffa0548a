import { sweepPeriodically } from "../docker/create/sweep-unstarted";
import type { Engine } from "../docker/engine";
import type { Logger } from "../support/logger";
import { SANDBOX_LABEL } from "./code/sandbox-options";
import { EMPTY_IMAGE, EXPIRES_LABEL, JOB_PREFIX, type Reaper } from "./reaper";
import { inspectState } from "./run-limits";

/** Seconds that an image of nothing can be in use. */
const EMPTY_IMAGE_AGE = 300;
/** Seconds after which nobody looks at a sandbox any more that has ended: nothing is read out of it. */
const SANDBOX_OVER = 5;

/**
 * Removes what runs have left whose server was killed: at once, and every minute.
 * @returns ends it
 */
export function sweepExpired(engine: Engine, leftovers: Reaper, log: Logger): () => void {
  const sweep = async () => {
    const now = await leftovers.clock.refresh();
    const filters = { label: [EXPIRES_LABEL] };
    const containers = await engine.call((docker, abortSignal) => docker.listContainers({ all: true, filters, abortSignal }));
    const hasEnded = async (id: string) => Date.parse((await inspectState(engine, id))?.FinishedAt ?? "") / 1000 + SANDBOX_OVER < now;
    for (const { Id, Names, Labels, State } of containers) {
      if (!Names.some((name) => name.startsWith(`/${JOB_PREFIX}`))) continue;
      const isLeft = State === "exited" && SANDBOX_LABEL in Labels && (await hasEnded(Id));
      if (!isLeft && !isOver(Labels, now)) continue;
      await leftovers.removeContainer(Id);
      log.info("what a run has left is removed", { id: Id, name: Names[0] });
    }
    const { Volumes } = await engine.call((docker, abortSignal) => docker.listVolumes({ filters, abortSignal }));
    for (const { Name, Labels } of Volumes ?? []) {
      if (Name.startsWith(JOB_PREFIX) && isOver(Labels, now)) await leftovers.removeVolume(Name);
    }
    const empty = { reference: [EMPTY_IMAGE] };
    const images = await engine.call((docker, abortSignal) => docker.listImages({ filters: empty, abortSignal }));
    for (const { RepoTags, Created } of images) {
      if (Created + EMPTY_IMAGE_AGE < now) for (const tag of RepoTags ?? []) await leftovers.removeImage(tag);
    }
  };
  return sweepPeriodically(sweep, log);
}

function isOver(labels: Record<string, string> | null, now: number): boolean {
  return Number(labels?.[EXPIRES_LABEL] ?? Number.NaN) <= now;
}
