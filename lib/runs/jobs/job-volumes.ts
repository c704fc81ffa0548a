import type { Engine } from "../../docker/engine";
import type { Reaper } from "../reaper";
import type { RunVolume } from "../volumes/run-volumes";
import type { VolumeIo } from "../volumes/volume-io";

/** Volumes that are made for one run. They have names, for an anonymous one would stay if somebody else removed the run's container. */
export interface ScratchVolumes {
  /** what is mounted at a path of the container */
  mounts: Map<string, object>;
  remove(): Promise<void>;
}

interface Tools {
  engine: Engine;
  helper: VolumeIo;
  leftovers: Reaper;
}

/**
 * Prepares what the contents of a run need: each folder has a volume of its own, that comes into being with the container; what may
 * only be read is put into one volume before, and mounted from it part by part.
 */
export async function createScratchVolumes(
  tools: Tools,
  image: string,
  places: readonly RunVolume[],
  { run_max_time, run_files }: { run_max_time: number; run_files: number },
): Promise<ScratchVolumes> {
  const mounts = new Map<string, object>();
  const made: string[] = [];
  const remove = async () => void (await Promise.all(made.map((name) => tools.leftovers.removeVolume(name))));
  const mark = async () => {
    const { name, Labels } = await tools.leftovers.nameAndLabels(run_max_time);
    made.push(name);
    return { name, Labels };
  };
  try {
    for (const { path } of places.filter(({ type, readOnly }) => type === "directory" && !readOnly)) {
      const { name, Labels } = await mark();
      // A folder's content is all that is to be there, whatever the image has at this place.
      mounts.set(path, { Target: path, Type: "volume", Source: name, VolumeOptions: { NoCopy: true, Labels } });
    }
    const readOnly = places.filter((place) => place.readOnly && place.content);
    if (readOnly.length > 0) await fill(tools, image, readOnly, await mark(), run_files, mounts);
    return { mounts, remove };
  } catch (error) {
    await remove();
    throw error;
  }
}

async function fill(
  { engine, helper }: Tools,
  image: string,
  places: readonly RunVolume[],
  { name, Labels }: { name: string; Labels: Record<string, string> },
  limit: number,
  mounts: Map<string, object>,
): Promise<void> {
  await engine.call((docker) => docker.createVolume({ Name: name, Labels }), "create");
  const contents = places.flatMap(({ content }, index) =>
    content ? [{ ...content, path: `/${index}`, made: content.archive !== undefined }] : [],
  );
  await helper.fill(name, image, contents, limit);
  const { Mountpoint } = await engine.call((docker, abortSignal) => docker.getVolume(name).inspect({ abortSignal }));
  for (const [index, { path }] of places.entries()) {
    mounts.set(path, { Target: path, Type: "bind", Source: `${Mountpoint}/${index}`, ReadOnly: true });
  }
}

/** The mounts of a run's container, as the Engine API wants them. */
export function mountsOf(places: readonly RunVolume[], scratch: ScratchVolumes): object[] {
  return places.flatMap(({ type, path, source, readOnly }) => {
    const mount = { Target: path, ReadOnly: readOnly, Source: source };
    if (type === "volume") return [{ ...mount, Type: "volume" }];
    if (type === "host") return [{ ...mount, Type: "bind" }];
    return scratch.mounts.get(path) ?? [];
  });
}
