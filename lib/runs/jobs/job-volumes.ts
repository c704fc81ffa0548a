import { Access } from "../../access/access";
import { FOLDER_MODE } from "../../archive/tar-write";
import type { Engine } from "../../docker/engine";
import { isNotFound } from "../../errors";
import type { Reaper } from "../reaper";
import type { RunVolume } from "../volumes/run-volumes";
import { ContentKindError, ContentLimitError, getContent, type VolumeIo } from "../volumes/volume-io";

/** Named volumes of a single run. An anonymous volume would remain if somebody else removed the run's container. */
export interface ScratchVolumes {
  /** mounts by path in the container */
  mounts: Map<string, object>;
  remove(): Promise<void>;
}

interface ScratchDeps {
  engine: Engine;
  volumeIo: VolumeIo;
  reaper: Reaper;
}

/**
 * Prepares the volumes for a run's contents. Each writable folder gets its own, which the engine creates with the container. All
 * read-only contents share one, which is filled now and bind-mounted part by part.
 * @param image any image of the engine
 * @param labels of the client's token, which the volumes get
 */
export async function createScratchVolumes(
  deps: ScratchDeps,
  image: string,
  volumes: readonly RunVolume[],
  labels: Readonly<Record<string, string>>,
  { run_max_time, run_files }: { run_max_time: number; run_files: number },
): Promise<ScratchVolumes> {
  const mounts = new Map<string, object>();
  const names: string[] = [];
  const remove = async () => void (await Promise.all(names.map((name) => deps.reaper.removeVolume(name))));
  const nextVolume = async () => {
    const { name, Labels } = await deps.reaper.nameAndLabels(run_max_time);
    names.push(name);
    return { name, Labels: { ...Labels, ...labels } };
  };
  try {
    for (const { path } of volumes.filter(({ type, readOnly }) => type === "directory" && !readOnly)) {
      const { name, Labels } = await nextVolume();
      // NoCopy: the folder has only the request's content, not the image's.
      mounts.set(path, { Target: path, Type: "volume", Source: name, VolumeOptions: { NoCopy: true, Labels } });
    }
    const readOnly = volumes.filter((volume) => volume.readOnly && volume.content);
    if (readOnly.length > 0) {
      const mountPoint = await fillReadOnlyVolume(deps, image, readOnly, await nextVolume(), run_files);
      for (const [index, { path }] of readOnly.entries())
        mounts.set(path, { Target: path, Type: "bind", Source: `${mountPoint}/${index}`, ReadOnly: true });
    }
    return { mounts, remove };
  } catch (error) {
    await remove();
    throw error;
  }
}

/** @returns the volume's folder on the engine's host; each content is in it by its index */
async function fillReadOnlyVolume(
  { engine, volumeIo }: ScratchDeps,
  image: string,
  volumes: readonly RunVolume[],
  { name, Labels }: { name: string; Labels: Record<string, string> },
  limit: number,
): Promise<string> {
  await engine.createVolume({ Name: name, Labels }, "create");
  const contents = volumes.flatMap(({ content }, index) =>
    content ? [{ ...content, path: `/${index}`, ...(content.archive ? { folderMode: FOLDER_MODE } : {}) }] : [],
  );
  await volumeIo.fill(name, image, contents, limit, Access.full);
  return (await engine.call((docker) => docker.getVolume(name).inspect())).Mountpoint;
}

/** The mounts of a run's container, as the Engine API expects them. */
export function mountsOf(volumes: readonly RunVolume[], scratch: ScratchVolumes): object[] {
  return volumes.flatMap(({ type, path, source, readOnly }) => {
    const mount = { Target: path, ReadOnly: readOnly, Source: source };
    if (type === "volume") return [{ ...mount, Type: "volume" }];
    if (type === "host") return [{ ...mount, Type: "bind" }];
    return scratch.mounts.get(path) ?? [];
  });
}

/** Sent to clients as it is. */
export interface ReturnedContent {
  type: string;
  /** base64: a file's bytes, or a gzipped tar of a folder; null if it couldn't be read, and a warning says why */
  content: string | null;
}

/**
 * Reads the contents that a run returns, from its exited container. A content that can't be read becomes a warning, so that the run's
 * output isn't lost.
 * @param limit bytes of all contents together
 * @returns contents by path
 */
export async function collectOutputs(
  engine: Engine,
  id: string,
  volumes: readonly RunVolume[],
  limit: number,
): Promise<{ contents: Record<string, ReturnedContent>; warnings: string[] }> {
  const contents: Record<string, ReturnedContent> = {};
  const warnings: string[] = [];
  let remainingBytes = limit;
  for (const { path, type, response } of volumes) {
    if (!response) continue;
    const returned: ReturnedContent = { type, content: null };
    contents[path] = returned;
    try {
      // What the client sent decides how it reads the answer; a volume or a path of the host can be either.
      const kind = type === "file" || type === "directory" ? type : undefined;
      const bytes = await getContent(engine, id, path, remainingBytes, kind);
      remainingBytes -= Math.min(remainingBytes, bytes.length);
      returned.content = bytes.toString("base64");
    } catch (error) {
      if (error instanceof ContentLimitError) warnings.push(`${path} is not given back: it holds more than ${limit} bytes`);
      else if (error instanceof ContentKindError) warnings.push(`${path} is not given back: it is ${error.kind}`);
      else if (isNotFound(error)) warnings.push(`${path} is not given back: it is gone`);
      else throw error;
    }
  }
  return { contents, warnings };
}
