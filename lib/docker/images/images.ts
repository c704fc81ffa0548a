import { createHash } from "node:crypto";
import { createInterface } from "node:readline";
import { LRUCache } from "lru-cache";
import { AppError, isNotFound, isUnavailable } from "../../errors";
import { currentTrace, measure } from "../../support/measure";
import type { DockerCli } from "../cli/docker-cli";
import type { Engine, RegistryAuth } from "../engine";
import { toAppErrorFromCli } from "../engine-errors";
import { withDefaultTag } from "./image-reference";
import { isOfPlatform } from "./platform";

export interface PulledImage {
  /** the requested reference, with its tag */
  image: string;
  /** sha256:… of the image's configuration */
  id: string;
  /** paths of the volumes that it declares */
  volumes: string[];
  /** sha256:… of its manifest in the registry; absent for an image that was not pulled */
  digest?: string;
}

/** One line of the engine's progress report of a pull. */
export interface PullProgress {
  status: string;
  /** id of the layer, or the tag */
  layer?: string;
  /** bytes */
  current?: number;
  total?: number;
}

type ProgressListener = (progress: PullProgress) => void;

/** The images of this host. */
export class Images {
  /** By image id: ms of `performance.now()` when a run or a bid last asked for it. */
  private readonly lastUses = new LRUCache<string, number>({ max: 10_000 });
  /**
   * References whose last pull was refused because they are no images, such as a Helm chart: the containerd image store keeps them, and
   * they look like an image whose layers it had from elsewhere, which runs.
   */
  private readonly artifacts = new LRUCache<string, true>({ max: 1000 });
  /** Pulls in progress, which repeated requests join. */
  private readonly pulls = new Map<string, { result: Promise<PulledImage>; listeners: Set<ProgressListener> }>();
  /** Removes the containers of an image that wait for its next code run, and tells whether there were any. */
  releaseWaiting: ((imageId: string) => Promise<boolean>) | undefined;

  constructor(
    private readonly engine: Engine,
    private readonly cli: DockerCli,
  ) {}

  /**
   * Pulls an image with the host's own credentials. Concurrent pulls of the same image are one.
   * @param reference any reference
   * @param platform such as linux/arm64
   * @throws AppError INVALID_REFERENCE, IMAGE_NOT_FOUND, IMAGE_DENIED, REGISTRY_UNREACHABLE
   */
  async pull(reference: string, platform?: string): Promise<PulledImage> {
    const image = withDefaultTag(reference);
    return this.joinPull(`${image} ${platform ?? ""}`, image, async () => {
      await this.cli("pull", ["pull", "--quiet", ...(platform ? [`--platform=${platform}`] : []), "--", image]);
    });
  }

  /**
   * Pulls an image with a caller's credentials, over the Engine API: they are never in an argument or on disk. Concurrent pulls of the same
   * image with the same credentials are one.
   * @throws AppError as `pull`
   */
  async pullWithLogin(reference: string, auth: RegistryAuth, platform?: string, listener?: ProgressListener): Promise<PulledImage> {
    return this.pullThroughApi(reference, auth, platform, listener);
  }

  /**
   * Pulls an image and reports the progress. Public images are pulled over the Engine API, which reports it; images that need the host's
   * own credentials are pulled as by `pull`, without progress.
   * @throws AppError as `pull`
   */
  async pullWithProgress(reference: string, platform: string | undefined, listener: ProgressListener): Promise<PulledImage> {
    return this.pullThroughApi(reference, undefined, platform, listener).catch((error: AppError) => {
      // Without credentials, some registries answer "not found" for a private image.
      if (error.code !== "IMAGE_DENIED" && error.code !== "IMAGE_NOT_FOUND") throw error;
      return this.pull(reference, platform);
    });
  }

  private async pullThroughApi(
    reference: string,
    auth: RegistryAuth | undefined,
    platform: string | undefined,
    listener: ProgressListener | undefined,
  ): Promise<PulledImage> {
    const image = withDefaultTag(reference);
    const login = auth ? createHash("sha256").update(JSON.stringify(auth)).digest("hex") : "anonymous";
    const work = async (onProgress: ProgressListener) => {
      const query = { fromImage: image, platform };
      const failed = await this.engine.stream("POST", "/images/create", { query, auth, operation: "pull" }).then(
        (report) => readPullReport(report, onProgress),
        // The engine reports errors of a registry with the statuses of its own errors.
        (error: AppError) => (isUnavailable(error) ? Promise.reject(error) : error.message),
      );
      if (failed !== undefined) throw toAppErrorFromCli({ stderr: failed }, "pull");
    };
    return this.joinPull(`${image} ${platform ?? ""} as ${login}`, image, work, listener);
  }

  /** Joins the pull in progress with this key, or begins it. */
  private joinPull(
    key: string,
    image: string,
    work: (onProgress: ProgressListener) => Promise<void>,
    listener?: ProgressListener,
  ): Promise<PulledImage> {
    const listeners = new Set<ProgressListener>();
    const begin = async () => {
      await this.engine.assertAlive(0);
      try {
        await work((progress) => {
          for (const onProgress of listeners) onProgress(progress);
        });
        this.artifacts.delete(image);
      } catch (error) {
        if (error instanceof AppError && error.code === "NOT_AN_IMAGE") this.artifacts.set(image, true);
        throw error;
      }
      const found = await this.inspect(image);
      if (!found) throw new AppError("IMAGE_NOT_FOUND", { message: `${image} was pulled and is gone again` });
      return found;
    };
    // Measured once for the metrics; each request that joins has its own wait.
    const pull = this.pulls.get(key) ?? { listeners, result: measure("pull", "", begin).finally(() => this.pulls.delete(key)) };
    this.pulls.set(key, pull);
    if (listener) pull.listeners.add(listener);
    const endWait = currentTrace()?.begin("pull");
    return pull.result.finally(endWait);
  }

  /** When this process last looked for the image with this id; ms of `performance.now()`. */
  lastUsedAt(id: string): number | undefined {
    return this.lastUses.get(id);
  }

  /**
   * Lets go of an image that is to be removed.
   * @returns whether this server itself had containers of it waiting; they are removed now
   */
  async release(reference: string): Promise<boolean> {
    const id = (await this.inspect(reference))?.id;
    return id !== undefined && ((await this.releaseWaiting?.(id)) ?? false);
  }

  /** The image, or undefined if this host doesn't have it, or has it for another platform. */
  async inspect(reference: string, platform?: string): Promise<PulledImage | undefined> {
    const image = withDefaultTag(reference);
    try {
      // Without the default tag: the reference may be an image id. An image that the containerd image store has in part has no Config.
      const info = await this.engine.call((docker) => docker.getImage(reference).inspect());
      this.lastUses.set(info.Id, performance.now());
      if (platform !== undefined && !isOfPlatform(info, platform)) return undefined;
      if (info.Os === "" && this.artifacts.has(image)) return undefined;
      const digest = info.RepoDigests?.map((each) => each.split("@")[1]).find(Boolean);
      return { image, id: info.Id, volumes: Object.keys(info.Config?.Volumes ?? {}), ...(digest ? { digest } : {}) };
    } catch (error) {
      if (isNotFound(error)) return undefined;
      throw error;
    }
  }

  /**
   * Pulls the image unless the policy or its presence make that unnecessary.
   * @param policy missing: pull if this host doesn't have it; always: pull; never: don't pull
   * @throws AppError IMAGE_NOT_FOUND and those of `pull`
   */
  async ensure(reference: string, policy: "missing" | "always" | "never", platform?: string): Promise<void> {
    if (await this.needsPull(reference, policy, platform)) await this.pull(reference, platform);
  }

  /**
   * Whether the image must be pulled.
   * @param policy as of `ensure`
   * @throws AppError IMAGE_NOT_FOUND if this host doesn't have it and the policy is never
   */
  async needsPull(reference: string, policy: "missing" | "always" | "never", platform?: string): Promise<boolean> {
    if (policy === "always") return true;
    if (await this.inspect(reference, platform)) return false;
    if (policy === "missing") return true;
    throw new AppError("IMAGE_NOT_FOUND", {
      message: `No such image on this host: ${withDefaultTag(reference)}${platform === undefined ? "" : ` for ${platform}`}`,
      details: { field: "image" },
    });
  }
}

interface ReportLine {
  error?: string;
  status?: string;
  id?: string;
  progressDetail?: { current?: number; total?: number };
}

/** Reads the report of a pull to its end. The engine sends errors as lines of the report, after status 200. Returns the last one. */
async function readPullReport(report: NodeJS.ReadableStream, onProgress: ProgressListener): Promise<string | undefined> {
  let failure: string | undefined;
  for await (const line of createInterface({ input: report })) {
    if (line.trim() === "") continue;
    const { error, status, id, progressDetail: { current, total } = {} } = JSON.parse(line) as ReportLine;
    failure = error ?? failure;
    if (status === undefined) continue;
    onProgress({ status, ...(id ? { layer: id } : {}), ...(current === undefined ? {} : { current }), ...(total ? { total } : {}) });
  }
  return failure;
}
