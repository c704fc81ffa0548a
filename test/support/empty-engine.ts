import { readdirSync, rmSync } from "node:fs";
import path from "node:path";
import { clientsOf, commandLine, killIfThere, processesOf } from "../../scripts/bed-cleanup";
import { until } from "../../scripts/process";
import { bed } from "./bed";
import type { Engine } from "./engine";
import { engineApi } from "./engine-api";

/** The image of the tests' web service (`web-container.ts`). */
export const WEB_IMAGE = "web:1";
/** Images that an engine keeps between suites, because they take long to import. */
const KEPT_IMAGES = ["busybox:latest", WEB_IMAGE];
const NETWORKS = ["bridge", "host", "none"];
/** Files of the engine itself in its folder. */
const KEPT_FILES = "cli daemon.json data docker.pid docker.sock dockerd.log exec kind lease owner podman tmp".split(" ");
const DEADLINE_MS = 20_000;

/**
 * Removes a suite's clients, containers, volumes, networks, images and files from an engine.
 * @throws Error that lists everything that remains after 20 s, processes on the simulated host included
 */
export async function emptyEngine(engine: Engine): Promise<void> {
  for (const pid of clientsOf(engine.dockerHost)) killIfThere(pid);
  let rest: string[] = [];
  const empty = async () => {
    await removeAll(engine);
    rest = await restOf(engine);
    return rest.length === 0;
  };
  if (!(await until(empty, DEADLINE_MS))) throw new Error(`on the engine that a suite hands back are ${rest.join(", ")}`);
}

async function removeAll(engine: Engine): Promise<void> {
  const found = await contentsOf(engine);
  await Promise.all(
    found.containers.map(async (id) => {
      // A paused container can't be killed.
      await engineApi(engine, "POST", `/containers/${id}/unpause`).catch(() => undefined);
      // Another removal of it may be in progress.
      await engineApi(engine, "DELETE", `/containers/${id}?force=1&v=1`).catch(() => undefined);
    }),
  );
  await Promise.all([
    ...found.volumes.map((name) => engineApi(engine, "DELETE", `/volumes/${encodeURIComponent(name)}?force=1`).catch(() => undefined)),
    ...found.networks.map((name) => engineApi(engine, "DELETE", `/networks/${name}`).catch(() => undefined)),
  ]);
  for (const name of found.images) await engineApi(engine, "DELETE", `/images/${name}?force=1`).catch(() => undefined);
  for (const name of readdirSync(engine.folder)) {
    if (!KEPT_FILES.includes(name)) rmSync(path.join(engine.folder, name), { recursive: true });
  }
}

async function restOf(engine: Engine): Promise<string[]> {
  const { containers, volumes, networks, images } = await contentsOf(engine);
  const host = Number(path.basename(engine.folder).replace("host-", ""));
  const processes = processesOf({ folder: engine.folder, netns: engine.netns, cgroup: bed.cgroupOf(host) })
    .map((pid) => commandLine(pid))
    .filter((line) => !/^(dockerd|containerd|podman|unshare|\/usr\/bin\/conmon) /.test(line) && line !== "");
  return [
    ...containers.map((id) => `container ${id}`),
    ...volumes.map((name) => `volume ${name}`),
    ...networks.map((name) => `network ${name}`),
    ...images.map((name) => `image ${name}`),
    ...processes.map((line) => `process ${line}`),
  ];
}

async function contentsOf(engine: Engine): Promise<Record<"containers" | "volumes" | "networks" | "images", string[]>> {
  const [containers, volumes, networks, images] = await Promise.all(
    ["/containers/json?all=1", "/volumes", "/networks", "/images/json"].map((path) => engineApi(engine, "GET", path)),
  );
  return {
    containers: containers.map(({ Id }: { Id: string }) => Id),
    volumes: (volumes.Volumes ?? []).map(({ Name }: { Name: string }) => Name),
    networks: networks.map(({ Name }: { Name: string }) => Name).filter((name: string) => !NETWORKS.includes(name)),
    images: images.flatMap(namesOf).filter((name: string) => !KEPT_IMAGES.includes(name)),
  };
}

function namesOf({ Id, RepoTags, RepoDigests }: { Id: string; RepoTags: string[] | null; RepoDigests: string[] | null }): string[] {
  const named = (names: string[] | null) => (names ?? []).filter((name) => !name.includes("<none>"));
  if (named(RepoTags).length > 0) return named(RepoTags);
  return named(RepoDigests).length > 0 ? named(RepoDigests) : [Id];
}
