import type { Readable } from "node:stream";
import { buffer } from "node:stream/consumers";
import { finished } from "node:stream/promises";
import { createGzip } from "node:zlib";
import { extract, type Pack, pack } from "tar-stream";
import type { Access } from "../../access/access";
import { ownerOf, TAR_HEADER_BYTES } from "../../archive/tar-read";
import { ownerFields, type PathContent, packContents } from "../../archive/tar-write";
import type { PolicyGuard } from "../../docker/create/policy-guard";
import type { Engine } from "../../docker/engine";
import { toAppErrorFromEngine } from "../../docker/engine-errors";
import type { Reaper } from "../reaper";

/** Where the helper container mounts the volume. */
const MOUNT_POINT = "/v";
/** Filling or reading a volume takes at most this long. */
const HELPER_LIFETIME_SECONDS = 600;

/** Reads and writes volumes by the archive API of a helper container, which mounts the volume and is never started. */
export class VolumeIo {
  constructor(
    private readonly engine: Engine,
    private readonly reaper: Reaper,
    private readonly guard: PolicyGuard,
  ) {}

  /**
   * Writes checked contents to a volume.
   * @param image any image of the engine
   * @param contents with paths below the volume's root
   * @param limit bytes that each may unpack to
   * @param access of the client
   */
  async fill(volume: string, image: string, contents: readonly PathContent[], limit: number, access: Access): Promise<void> {
    const mounted = contents.map((content) => ({ ...content, path: content.path === "/" ? MOUNT_POINT : MOUNT_POINT + content.path }));
    await this.withHelper({ volume, image, readOnly: false, access }, (id) => putContents(this.engine, id, mounted, limit, [MOUNT_POINT]));
  }

  /**
   * @param image any image of the engine
   * @param limit bytes that it may unpack to
   * @param access of the client
   * @returns a gzipped tar of the whole volume
   * @throws ContentLimitError
   */
  read(volume: string, image: string, limit: number, access: Access): Promise<Buffer> {
    return this.withHelper({ volume, image, readOnly: true, access }, (id) => getContent(this.engine, id, MOUNT_POINT, limit));
  }

  private async withHelper<T>(
    { volume, image, readOnly, access }: { volume: string; image: string; readOnly: boolean; access: Access },
    work: (id: string) => Promise<T>,
  ): Promise<T> {
    const { name, Labels } = await this.reaper.nameAndLabels(HELPER_LIFETIME_SECONDS);
    const mount = { Type: "volume" as const, Source: volume, Target: MOUNT_POINT, ReadOnly: readOnly, VolumeOptions: { NoCopy: true } };
    const spec = {
      name,
      Labels,
      Image: image,
      Entrypoint: [],
      Cmd: ["-"],
      NetworkDisabled: true,
      HostConfig: { Mounts: [mount as never] },
    };
    const id = await this.reaper.createContainer(spec, "create");
    try {
      // The engine mounts the volume for each archive, although the container is never started.
      await this.guard.checkStart(id, access, { ofRun: true });
      return await work(id);
    } finally {
      await this.reaper.removeContainer(id);
    }
  }
}

/**
 * Writes checked contents to a container that is not running.
 * @param limit bytes that each may unpack to
 * @param mounts paths at which something is mounted
 * @throws AppError INVALID_SPEC if a path can't be created there
 */
export async function putContents(
  engine: Engine,
  id: string,
  contents: readonly PathContent[],
  limit: number,
  mounts: readonly string[],
): Promise<void> {
  const byMount = groupByMount(contents, new Set(mounts));
  const isSplit = byMount.size > (byMount.has("/") ? 1 : 0) && (await isPodman(engine));
  for (const [path, mounted] of isSplit ? byMount : [["/", contents] as const]) {
    const archive = packContents(mounted, limit);
    const options = { path, noOverwriteDirNonDir: "true" };
    await engine.send(archive, (docker) => docker.getContainer(id).putArchive(archive, options), "start");
  }
}

const podmanEngines = new WeakMap<Engine, boolean>();

/** Whether an engine is Podman, as it was when it was first asked. */
async function isPodman(engine: Engine): Promise<boolean> {
  let known = podmanEngines.get(engine);
  if (known === undefined) {
    const { Components } = await engine.call((docker) => docker.version());
    known = (Components ?? []).some(({ Name }) => Name === "Podman Engine");
    podmanEngines.set(engine, known);
  }
  return known;
}

/**
 * Groups contents by the mount that they are in, or the root. Podman writes to a volume of a container that is not running only if the
 * request names a path of the volume; an entry of an archive for the root is lost below the mount. Docker finds the mounts by itself, and
 * leaves the mode of the folder that a request names.
 * @returns contents by mount, with paths relative to it
 */
export function groupByMount(contents: readonly PathContent[], mounts: ReadonlySet<string>): Map<string, PathContent[]> {
  const groups = new Map<string, PathContent[]>();
  for (const content of contents) {
    let mount = content.path;
    while (mount !== "" && !mounts.has(mount)) mount = mount.slice(0, mount.lastIndexOf("/"));
    const group = groups.get(mount || "/") ?? [];
    group.push({ ...content, path: content.path.slice(mount.length) || "/." });
    groups.set(mount || "/", group);
  }
  return groups;
}

/** The content is larger than the limit. */
export class ContentLimitError extends Error {}

/** The path leads to a link, a pipe or a device. */
export class ContentKindError extends Error {
  /** @param kind as in "it is a link" */
  constructor(readonly kind: string) {
    super(`It is ${kind}`);
  }
}

/**
 * Reads a path of a container: a file's bytes, or a folder as a gzipped tar with names relative to the folder.
 * @param limit bytes that it may unpack to
 * @param kind that the content must have; either if absent
 * @throws AppError CONTAINER_NOT_FOUND if the path doesn't exist; ContentLimitError; ContentKindError
 */
export async function getContent(engine: Engine, id: string, path: string, limit: number, kind?: ContentKind): Promise<Buffer> {
  const tar = await engine.stream("GET", `/containers/${id}/archive`, { query: { path }, isFinite: true });
  try {
    return await repackContent(tar, limit, kind);
  } catch (error) {
    throw error instanceof Error && "code" in error ? toAppErrorFromEngine(error) : error;
  }
}

type ContentKind = "file" | "directory";

/** Kinds of a path that can't be given back, as its error names them. */
const KINDS: Record<string, string> = { symlink: "a link", file: "a file", directory: "a folder", fifo: "a pipe" };

const REPACKED_TYPES = new Set(["file", "directory", "symlink", "link"]);

/** @param tar the engine's: all names begin with the last part of the path that was read */
async function repackContent(tar: Readable, limit: number, kind?: ContentKind): Promise<Buffer> {
  const entries = extract();
  tar.on("error", (error) => entries.destroy(error));
  tar.pipe(entries);
  let packed: Pack | undefined;
  let relativeTo = withoutFirstPart;
  let zipped: Promise<Buffer> | undefined;
  let size = 0;
  try {
    for await (const entry of entries) {
      const { name, type, linkname, size: length = 0 } = entry.header;
      // Headers count too: a folder may have very many empty files.
      size += length + TAR_HEADER_BYTES;
      if (size > limit) throw new ContentLimitError();
      if (!packed) {
        const isContent = type === "file" || type === "directory";
        if (!isContent || (kind && kind !== type)) throw new ContentKindError(KINDS[type ?? ""] ?? "neither a file nor a folder");
        if (type === "file") return await buffer(entry);
        // Podman names the folder at which a volume is mounted "/".
        if (/^[./]*$/.test(name)) relativeTo = withoutLeadingSlash;
      }
      // The iteration throws the error; these handlers only keep it from being unhandled.
      packed ??= pack().on("error", () => undefined);
      if (!zipped) {
        zipped = buffer(packed.pipe(createGzip()));
        zipped.catch(() => undefined);
      }
      const relativeName = relativeTo(name);
      if (relativeName === "" || !REPACKED_TYPES.has(type ?? "")) {
        entry.resume();
        continue;
      }
      const link = type === "link" ? { linkname: relativeTo(linkname ?? "") } : {};
      const sink = packed.entry({
        ...entry.header,
        name: relativeName,
        pax: null,
        ...ownerFields(ownerOf(entry.header)),
        ...link,
      } as typeof entry.header);
      entry.pipe(sink);
      await finished(sink);
    }
    packed?.finalize();
    return (await zipped) ?? Buffer.alloc(0);
  } finally {
    tar.destroy();
    entries.destroy();
    packed?.destroy();
  }
}

const withoutLeadingSlash = (name: string): string => name.replace(/^(?:\.?\/)+/, "");

function withoutFirstPart(name: string): string {
  const relative = withoutLeadingSlash(name);
  const slash = relative.indexOf("/");
  return slash < 0 ? "" : relative.slice(slash + 1);
}
