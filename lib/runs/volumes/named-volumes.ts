import { randomUUID } from "node:crypto";
import { type Access, refusedBy } from "../../access/access";
import { type Confinement, hasLabels, isReservedLabel } from "../../docker/containers/confinement";
import { checkVolumeOptions } from "../../docker/create/policy";
import type { PolicyGuard } from "../../docker/create/policy-guard";
import type { Engine } from "../../docker/engine";
import { EMPTY_IMAGE } from "../../docker/images/image-prune";
import { AppError, invalidField, isNotFound } from "../../errors";
import type { Reaper } from "../reaper";
import type { NewVolumes, VolumeHold } from "./new-volumes";
import { parseArchive } from "./run-volumes";
import { ContentLimitError, type VolumeIo } from "./volume-io";

export interface NewVolume {
  name: string;
  /** base64 of a gzipped tar */
  content?: string | undefined;
  driver: string;
  driver_opts: Record<string, string>;
  labels: Record<string, string>;
}

/** Sent to clients as it is. */
export interface VolumeInfo {
  name: string;
  driver: string;
  labels: Record<string, string>;
  created: string | undefined;
}

export interface VolumeDeps {
  engine: Engine;
  confinement: Confinement;
  guard: PolicyGuard;
  reaper: Reaper;
  volumeIo: VolumeIo;
  newVolumes: NewVolumes;
}

/** A tar without entries: two blocks of zeros. */
const EMPTY_TAR = Buffer.alloc(1024);

/** The named volumes of this host. */
export class Volumes {
  /** @param limit bytes that a volume's content may unpack to, in either direction */
  constructor(
    private readonly deps: VolumeDeps,
    private readonly limit: number,
  ) {}

  /**
   * Creates a volume unless it exists, and writes content to it. If writing fails, a volume that didn't exist before is removed.
   * @param access what the client may do
   * @throws AppError naming the field; NOT_ALLOWED, REFUSED_BY_TOKEN, INVALID_SPEC; NAME_TAKEN by a volume without the token's labels
   */
  async create(volume: NewVolume, access: Access): Promise<void> {
    const hold = await this.deps.newVolumes.hold([volume.name]);
    try {
      await this.createHeld(volume, access, hold);
      hold.keep();
    } finally {
      await hold.release();
    }
  }

  private async createHeld({ name, content, driver, driver_opts, labels }: NewVolume, access: Access, hold: VolumeHold): Promise<void> {
    const { engine, confinement, guard, volumeIo } = this.deps;
    if (driver !== "local" || Object.keys(driver_opts).length > 0)
      access.assertDriverOptions(driver === "local" ? "driver_opts" : "driver");
    const reserved = Object.keys(labels).find(isReservedLabel);
    if (access.labels && reserved !== undefined) throw refusedBy("labels", `${reserved} is a label of Compose`, { field: "labels" });
    const archive = content === undefined ? undefined : await parseArchive(content, "content", this.limit);
    checkVolumeOptions(driver, driver_opts, await guard.current(access), (option) => `driver_opts.${option}`);
    const existing = await this.findAllowed(name, access);
    if (existing && !hasLabels(existing.labels, access.labels ?? {})) throw new AppError("NAME_TAKEN", { details: { name } });
    const options = { Name: name, Driver: driver, DriverOpts: driver_opts, Labels: { ...labels, ...access.labels } };
    await engine.createVolume(options, "start").catch(throwDriverError);
    // The engine answers an existing volume too, which another client may have made meanwhile.
    if (access.labels && !(await confinement.hasVolume(name, access.labels))) throw new AppError("NAME_TAKEN", { details: { name } });
    if (!archive) return;
    try {
      await this.withAnyImage((image) => volumeIo.fill(name, image, [{ path: "/", mode: undefined, archive }], this.limit, access));
    } catch (error) {
      if (!existing) hold.discard([name]);
      throw error;
    }
  }

  /** @throws AppError NOT_ALLOWED if the volume is a folder of the host that the policy refuses to mount */
  private async findAllowed(name: string, access: Access): Promise<VolumeInfo | undefined> {
    const [found] = await this.deps.guard.findVolumes([name], "name", access);
    return found && toVolumeInfo(found);
  }

  /** Those that the client may see, sorted by name. */
  async list({ labels = {} }: Access): Promise<VolumeInfo[]> {
    const all = await this.deps.engine.listVolumes();
    const seen = all.map(toVolumeInfo).filter((each) => hasLabels(each.labels, labels));
    return seen.sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  /**
   * @returns the volume, and a gzipped tar of its content
   * @throws AppError VOLUME_NOT_FOUND, NOT_ALLOWED, CONTENT_TOO_LARGE
   */
  async read(name: string, access: Access): Promise<VolumeInfo & { content: Buffer }> {
    const info = await this.findAllowed(name, access);
    if (!info || !hasLabels(info.labels, access.labels ?? {}))
      throw new AppError("VOLUME_NOT_FOUND", { message: `No such volume: ${name}` });
    try {
      return { ...info, content: await this.withAnyImage((image) => this.deps.volumeIo.read(name, image, this.limit, access)) };
    } catch (error) {
      if (error instanceof ContentLimitError)
        throw new AppError("CONTENT_TOO_LARGE", { message: `The volume ${name} holds more than ${this.limit} bytes` });
      throw error;
    }
  }

  /** @throws AppError VOLUME_NOT_FOUND, VOLUME_IN_USE */
  async remove(name: string): Promise<void> {
    await this.deps.engine.call((docker) => docker.getVolume(name).remove()).catch(throwVolumeError);
  }

  /** Calls `work` with any image: a container can't be created without one, even if it is never started. */
  private async withAnyImage<T>(work: (image: string) => Promise<T>): Promise<T> {
    const { engine, reaper } = this.deps;
    const images = await engine.call((docker) => docker.listImages());
    const [present] = images;
    if (present) {
      try {
        return await work(present.Id);
      } catch (error) {
        // The image was removed in between: import an empty one.
        if (!(error instanceof AppError && error.code === "IMAGE_NOT_FOUND")) throw error;
      }
    }
    const tag = randomUUID();
    const image = `${EMPTY_IMAGE}:${tag}`;
    const report = await engine.call((docker) => docker.importImage(EMPTY_TAR as never, { repo: EMPTY_IMAGE, tag }), "create");
    for await (const _ of report);
    try {
      return await work(image);
    } finally {
      await reaper.removeImage(image);
    }
  }
}

function toVolumeInfo({ Name, Driver, Labels, ...rest }: Awaited<ReturnType<PolicyGuard["findVolumes"]>>[number]): VolumeInfo {
  return { name: Name, driver: Driver, labels: Labels ?? {}, created: (rest as { CreatedAt?: string }).CreatedAt };
}

function throwDriverError(error: AppError): never {
  if (isNotFound(error)) throw invalidField("driver", `can't be had: ${error.message}`);
  throw error;
}

/** The engine's 404 and 409 are about the volume here. */
function throwVolumeError(error: unknown): never {
  if (!(error instanceof AppError)) throw error;
  const { message, cause } = error;
  if (isNotFound(error)) throw new AppError("VOLUME_NOT_FOUND", { message, cause });
  if (error.kind === "conflict") throw new AppError("VOLUME_IN_USE", { message, cause });
  throw error;
}
