import { randomUUID } from "node:crypto";
import { checkVolumeOptions } from "../../docker/create/policy";
import { findAllowedVolumes } from "../../docker/create/volume-policy";
import { AppError, invalidField, isNotFound } from "../../errors";
import { fromBase64 } from "../../support/base64";
import type { Tools } from "../jobs/one-off-runs";
import { EMPTY_IMAGE } from "../reaper";
import { TooMuchContent } from "./content-out";
import type { Hold } from "./new-volumes";
import { checkedArchive } from "./run-volumes";

export interface NewVolume {
  name: string;
  /** base64 of a gzipped tar */
  content?: string | undefined;
  driver: string;
  driver_opts: Record<string, string>;
  labels: Record<string, string>;
}

export interface VolumeInfo {
  name: string;
  driver: string;
  labels: Record<string, string>;
  created: string | undefined;
}

/** Two blocks of zeros: a tar with nothing in it. */
const EMPTY_TAR = Buffer.alloc(1024);

/** The named volumes of this host. */
export class Volumes {
  /** @param limit bytes that the content of one may unpack to, in or out */
  constructor(
    private readonly tools: Tools,
    private readonly limit: number,
  ) {}

  /**
   * Makes a volume, or takes the one that is there, and puts content into it. If that fails, one that was made is removed again.
   * @throws AppError naming the field; NOT_ALLOWED, INVALID_SPEC
   */
  async create(volume: NewVolume): Promise<void> {
    const held = await this.tools.newVolumes.hold([volume.name]);
    try {
      await this.createHeld(volume, held);
      held.given();
    } finally {
      await held.end();
    }
  }

  private async createHeld({ name, content, driver, driver_opts, labels }: NewVolume, held: Hold): Promise<void> {
    const { engine, policy, helper } = this.tools;
    const archive = content === undefined ? undefined : await checkedArchive(fromBase64(content, "content"), "content", this.limit);
    checkVolumeOptions(driver, driver_opts, policy, (option) => `driver_opts.${option}`);
    const before = await this.allowed(name);
    const wanted = { Name: name, Driver: driver, DriverOpts: driver_opts, Labels: labels };
    await engine
      .call(async (docker, abortSignal) => docker.createVolume({ ...wanted, abortSignal } as never), "start")
      .catch(asDriverError);
    if (!archive) return;
    try {
      await this.withImage((image) => helper.fill(name, image, [{ path: "/", mode: undefined, archive }], this.limit));
    } catch (error) {
      if (!before) held.unmade([name]);
      throw error;
    }
  }

  /** @throws AppError NOT_ALLOWED if it is a folder of the host under another name, which mounts may not reach either */
  private async allowed(name: string): Promise<VolumeInfo | undefined> {
    const [found] = await findAllowedVolumes(this.tools.engine, this.tools.policy, [name], "name");
    return found && infoOf(found);
  }

  /** By name. */
  async list(): Promise<VolumeInfo[]> {
    const { Volumes: all } = await this.tools.engine.call((docker, abortSignal) => docker.listVolumes({ abortSignal }));
    return (all ?? []).map(infoOf).sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  /**
   * @returns what it is, and a gzipped tar of all that is in it
   * @throws AppError VOLUME_NOT_FOUND, CONTENT_TOO_LARGE
   */
  async read(name: string): Promise<VolumeInfo & { content: Buffer }> {
    const info = await this.allowed(name);
    if (!info) throw new AppError("VOLUME_NOT_FOUND", { message: `No such volume: ${name}` });
    try {
      return { ...info, content: await this.withImage((image) => this.tools.helper.read(name, image, this.limit)) };
    } catch (error) {
      if (error instanceof TooMuchContent)
        throw new AppError("CONTENT_TOO_LARGE", { message: `The volume ${name} holds more than ${this.limit} bytes` });
      throw error;
    }
  }

  /** @throws AppError VOLUME_NOT_FOUND, VOLUME_IN_USE */
  async remove(name: string): Promise<void> {
    await this.tools.engine.call((docker, abortSignal) => docker.getVolume(name).remove({ abortSignal })).catch(asVolumeError);
  }

  // A container needs an image, though it is never started: any will do.
  private async withImage<T>(work: (image: string) => Promise<T>): Promise<T> {
    const { engine, leftovers } = this.tools;
    const images = await engine.call((docker, abortSignal) => docker.listImages({ abortSignal }));
    const [present] = images;
    if (present) {
      try {
        return await work(present.Id);
      } catch (error) {
        // Removed meanwhile: then with one of our own.
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
      await leftovers.image(image);
    }
  }
}

function infoOf({ Name, Driver, Labels, ...rest }: Awaited<ReturnType<typeof findAllowedVolumes>>[number]): VolumeInfo {
  return { name: Name, driver: Driver, labels: Labels ?? {}, created: (rest as { CreatedAt?: string }).CreatedAt };
}

function asDriverError(error: AppError): never {
  if (isNotFound(error)) throw invalidField("driver", `can't be had: ${error.message}`);
  throw error;
}

/** The engine's words are about volumes here. */
function asVolumeError(error: unknown): never {
  if (!(error instanceof AppError)) throw error;
  const { message, cause } = error;
  if (isNotFound(error)) throw new AppError("VOLUME_NOT_FOUND", { message, cause });
  if (error.kind === "conflict") throw new AppError("VOLUME_IN_USE", { message, cause });
  throw error;
}
