import { type PathContent, packContents } from "../../archive/tar-write";
import type { Engine } from "../../docker/engine";
import { toAppErrorFromEngine } from "../../docker/engine-errors";
import type { Reaper } from "../reaper";
import { contentOf } from "./content-out";

/** Where the helper has the volume. */
const PLACE = "/v";
/** Seconds that filling or reading may take. */
const LONGEST = 600;

/** Reaches what is in a volume: through a container that has it mounted and is never started. */
export class VolumeIo {
  constructor(
    private readonly engine: Engine,
    private readonly leftovers: Reaper,
  ) {}

  /**
   * Puts checked contents into a volume.
   * @param image any that the engine has
   * @param contents with paths below the volume's root
   * @param limit bytes that each may unpack to
   */
  async fill(volume: string, image: string, contents: readonly PathContent[], limit: number): Promise<void> {
    const below = contents.map((content) => ({ ...content, path: content.path === "/" ? PLACE : PLACE + content.path }));
    await this.within(volume, image, false, (id) => putContents(this.engine, id, below, limit));
  }

  /**
   * @param limit bytes that it may unpack to
   * @returns a gzipped tar of all that is in a volume
   */
  read(volume: string, image: string, limit: number): Promise<Buffer> {
    return this.within(volume, image, true, (id) => getContent(this.engine, id, PLACE, limit));
  }

  private async within<T>(volume: string, image: string, readOnly: boolean, work: (id: string) => Promise<T>): Promise<T> {
    const { name, Labels } = await this.leftovers.nameAndLabels(LONGEST);
    const mount = { Type: "volume" as const, Source: volume, Target: PLACE, ReadOnly: readOnly, VolumeOptions: { NoCopy: true } };
    const spec = {
      name,
      Labels,
      Image: image,
      Entrypoint: [],
      Cmd: ["-"],
      NetworkDisabled: true,
      HostConfig: { Mounts: [mount as never] },
    };
    const id = await this.leftovers.createContainer(spec, "create");
    try {
      return await work(id);
    } finally {
      await this.leftovers.removeContainer(id);
    }
  }
}

/**
 * Puts checked contents into a container that is not running.
 * @throws AppError INVALID_SPEC if a path can't be had there
 */
export async function putContents(engine: Engine, id: string, contents: readonly PathContent[], limit: number): Promise<void> {
  if (contents.length === 0) return;
  const options = { path: "/", noOverwriteDirNonDir: "true" };
  const archive = packContents(contents, limit);
  await engine.send(archive, (docker, abortSignal) => docker.getContainer(id).putArchive(archive, { ...options, abortSignal }), "start");
}

/**
 * Reads a file, or a folder as a gzipped tar, out of a container.
 * @throws AppError CONTAINER_NOT_FOUND if the path isn't there; TooMuchContent
 */
export async function getContent(engine: Engine, id: string, path: string, limit: number): Promise<Buffer> {
  const tar = await engine.stream("GET", `/containers/${id}/archive`, { query: { path } });
  try {
    return await contentOf(tar, limit);
  } catch (error) {
    throw error instanceof Error && "code" in error ? toAppErrorFromEngine(error) : error;
  }
}
