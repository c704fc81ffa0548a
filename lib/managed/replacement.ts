import { setTimeout as sleep } from "node:timers/promises";
import type { ContainerSummary } from "../docker/containers/container-list";
import type { DockerHost } from "../docker/docker-host";
import { CUID_LABEL, RESUME_LABEL, readManagedSpec } from "./managed-spec";

/** Compose that has outlived the server which called it is given so long (ms) to end what it has begun. */
const COMPOSE_SETTLE_MS = 20_000;
const POLL_INTERVAL_MS = 250;

type Docker = Pick<DockerHost, "engine" | "containers" | "runner" | "lifecycle">;

/** A container that was made for a managed one, by whatever name. */
const belongsTo = (cuid: string) => {
  return ({ name, labels }: ContainerSummary) => labels[CUID_LABEL] === cuid && (name === cuid || replacedName(name) === cuid);
};

/** Compose makes the new container as ID_NAME, removes the old one, and only then gives the new one its name. */
const replacedName = (name: string) => /^[0-9a-f]{12}_(.+)$/s.exec(name)?.[1];

/** The cuids of all managed containers whose replacement was begun and not ended. */
export function unfinishedReplacements(containers: readonly ContainerSummary[]): string[] {
  const halves = containers.flatMap((each) => {
    const { name, labels } = each;
    const cuid = labels[CUID_LABEL];
    if (cuid === undefined) return [];
    return replacedName(name) === cuid || (readManagedSpec(each) && awaitsStart(each)) ? [cuid] : [];
  });
  return [...new Set(halves)];
}

const awaitsStart = ({ state, labels }: ContainerSummary) => state === "created" && labels[RESUME_LABEL] === "true";

/**
 * Ends the replacement of a container that was cut off midway: what was there before stays, and if that is gone already the new one
 * takes its place. It runs if the old one did.
 */
export async function finishReplacement({ engine, containers, runner, lifecycle }: Docker, cuid: string): Promise<void> {
  const all = async () => {
    containers.changed();
    return (await containers.read()).containers.filter(belongsTo(cuid));
  };
  let found = await all();
  const others = () => found.filter(({ name }) => name !== cuid);
  const isFresh = ({ created }: ContainerSummary) => Math.abs(Date.now() - Date.parse(created)) < COMPOSE_SETTLE_MS;
  while (others().some(isFresh)) {
    await sleep(POLL_INTERVAL_MS);
    found = await all();
  }
  const resumed = others().some(awaitsStart);
  const named = found.find(({ name }) => name === cuid);
  const [newest, ...rest] = others().sort((a, b) => (a.created < b.created ? 1 : -1));
  for (const { id } of named ? others() : rest) await runner.remove(id);
  const stays = named ?? newest;
  if (!stays) return;
  if (!named) await engine.call((docker, abortSignal) => docker.getContainer(stays.id).rename({ name: cuid, abortSignal }));
  containers.changed();
  if (awaitsStart(stays) || (resumed && stays.state !== "running")) await lifecycle.start(stays.id);
}
