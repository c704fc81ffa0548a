import { setTimeout as sleep } from "node:timers/promises";
import { Access } from "../access/access";
import type { ContainerSummary } from "../docker/containers/container-list";
import { CUID_LABEL, replacedName } from "../docker/containers/replaced-name";
import { sweepPeriodically } from "../docker/create/sweep-unstarted";
import type { DockerHost } from "../docker/docker-host";
import type { KeyedMutex } from "../support/keyed-mutex";
import type { Logger } from "../support/logger";
import { RESUME_LABEL, readManagedSpec } from "./managed-spec";

/** Compose may outlive a killed server: a replacement younger than this is left to it. */
const COMPOSE_SETTLE_MS = 20_000;
const POLL_INTERVAL_MS = 250;

type Docker = Pick<DockerHost, "engine" | "containers" | "runner" | "lifecycle">;

/** Whether a container is the managed container itself or its replacement. */
const belongsTo = (cuid: string) => {
  return ({ name, labels }: ContainerSummary) => labels[CUID_LABEL] === cuid && (name === cuid || replacedName(name) === cuid);
};

/** The cuids of managed containers whose replacement has begun and not finished. */
function unfinishedReplacements(containers: readonly ContainerSummary[]): string[] {
  const cuids = containers.flatMap((each) => {
    const { name, labels } = each;
    const cuid = labels[CUID_LABEL];
    if (cuid === undefined) return [];
    return replacedName(name) === cuid || (readManagedSpec(each) && awaitsStart(each)) ? [cuid] : [];
  });
  return [...new Set(cuids)];
}

const awaitsStart = ({ state, labels }: ContainerSummary) => state === "created" && labels[RESUME_LABEL] === "true";

/**
 * Completes replacements that a killed server left unfinished: now, and every minute.
 * @param mutex held by the managed containers that are in work
 * @returns stops the sweep
 */
export function sweepReplacements(docker: Docker, mutex: KeyedMutex, log: Logger): () => void {
  return sweepPeriodically(async () => {
    const { containers } = await docker.containers.read();
    for (const cuid of unfinishedReplacements(containers).filter((each) => !mutex.isBusy(each))) {
      await mutex
        .runExclusive(cuid, () => finishReplacement(docker, cuid))
        .then(
          () => log.info("Interrupted change of a managed container completed", { cuid }),
          (error: Error) => log.warn("Interrupted change of a managed container not completed", { cuid, reason: error.message }),
        );
    }
  }, log);
}

/**
 * Finishes an interrupted replacement: the old container is kept if it still exists, else the newest replacement is renamed to the cuid.
 * The result runs if the old container did.
 */
export async function finishReplacement({ engine, containers, runner, lifecycle }: Docker, cuid: string): Promise<void> {
  const readAll = async () => {
    containers.invalidate();
    return (await containers.read()).containers.filter(belongsTo(cuid));
  };
  let found = await readAll();
  const replacements = () => found.filter(({ name }) => name !== cuid);
  const isRecent = ({ created }: ContainerSummary) => Math.abs(Date.now() - Date.parse(created)) < COMPOSE_SETTLE_MS;
  while (replacements().some(isRecent)) {
    await sleep(POLL_INTERVAL_MS);
    found = await readAll();
  }
  const mustRun = replacements().some(awaitsStart);
  const named = found.find(({ name }) => name === cuid);
  const [newest, ...older] = replacements().sort((a, b) => (a.created < b.created ? 1 : -1));
  for (const { id } of named ? replacements() : older) await runner.remove(id, { volumes: true });
  const kept = named ?? newest;
  if (!kept) return;
  if (!named) await engine.call((docker) => docker.getContainer(kept.id).rename({ name: cuid }));
  containers.invalidate();
  if (awaitsStart(kept) || (mustRun && kept.state !== "running")) await lifecycle.start(kept.id, Access.full);
}
