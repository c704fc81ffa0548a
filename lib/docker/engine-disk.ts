import { statfs } from "node:fs/promises";
import type { Engine } from "./engine";

/** The file system on which an engine keeps its images, containers and volumes, as far as this process can see it. */
export class EngineDisk {
  private folder: string | undefined;

  constructor(private readonly engine: Engine) {}

  /** Free for ordinary users, and in all, bytes; undefined for an engine elsewhere, or whose folder can't be seen from this container. */
  async read(): Promise<{ free: number; size: number } | undefined> {
    if (this.engine.machine !== undefined) return undefined;
    try {
      this.folder ??= ((await this.engine.call((docker) => docker.info())) as { DockerRootDir?: string }).DockerRootDir;
      if (!this.folder) return undefined;
      const { bavail, blocks, bsize } = await statfs(this.folder);
      return { free: bavail * bsize, size: blocks * bsize };
    } catch {
      return undefined;
    }
  }
}
