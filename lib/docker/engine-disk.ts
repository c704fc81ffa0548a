import { type DiskRoom, readDiskRoom } from "../support/disk";
import type { Engine } from "./engine";

/** The file system on which an engine keeps its images, containers and volumes, as far as this process can see it. */
export class EngineDisk {
  private folder: string | undefined;

  constructor(private readonly engine: Engine) {}

  /** Its room; undefined for an engine elsewhere, or whose folder can't be seen from this container. */
  async read(): Promise<DiskRoom | undefined> {
    if (this.engine.machine !== undefined) return undefined;
    try {
      this.folder ??= ((await this.engine.call((docker) => docker.info())) as { DockerRootDir?: string }).DockerRootDir;
      if (!this.folder) return undefined;
      return await readDiskRoom(this.folder);
    } catch {
      return undefined;
    }
  }
}
