import { createHash } from "node:crypto";
import { createInterface } from "node:readline";
import { AppError, isNotFound, isUnavailable } from "../../errors";
import type { DockerCli } from "../cli/docker-cli";
import type { Engine, RegistryAuth } from "../engine";
import { toAppErrorFromCli } from "../engine-errors";
import { withDefaultTag } from "./image-reference";

export interface PulledImage {
  /** the reference that was asked for, with its tag */
  image: string;
  /** sha256:… of the image's configuration */
  id: string;
  /** the paths at which it wants volumes */
  volumes: string[];
  /** sha256:… of its manifest in the registry; absent for an image that came from none */
  digest?: string;
}

/** How far a pull is, as the engine tells it. */
export interface PullProgress {
  status: string;
  /** the layer it is about, or the tag */
  layer?: string;
  /** bytes */
  current?: number;
  total?: number;
}

type ProgressListener = (progress: PullProgress) => void;

/** The images of this host. */
export class Images {
  /** Pulls under way: a repeat joins. */
  private readonly pulls = new Map<string, { result: Promise<PulledImage>; watchers: Set<ProgressListener> }>();

  constructor(
    private readonly engine: Engine,
    private readonly cli: DockerCli,
  ) {}

  /**
   * Pulls an image with the host's own credentials; one pull under way serves all who ask for the same.
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
   * Pulls an image with a caller's own login, over the Engine API: it is in no argument and on no disk.
   * One pull under way serves all who ask for the same with the same login.
   * @throws AppError as `pull`
   */
  async pullWithLogin(reference: string, auth: RegistryAuth, watcher?: ProgressListener): Promise<PulledImage> {
    return this.pullThroughApi(reference, auth, watcher);
  }

  /**
   * Pulls an image and tells how far it is. What anybody may have comes over the Engine API, which tells it; what the host's own
   * credentials are needed for comes as by `pull`, and nothing is told of it.
   * @throws AppError as `pull`
   */
  async pullWithProgress(reference: string, watcher: ProgressListener): Promise<PulledImage> {
    return this.pullThroughApi(reference, undefined, watcher).catch((error: AppError) => {
      // A registry hides from strangers that it has an image.
      if (error.code !== "IMAGE_DENIED" && error.code !== "IMAGE_NOT_FOUND") throw error;
      return this.pull(reference);
    });
  }

  private async pullThroughApi(
    reference: string,
    auth: RegistryAuth | undefined,
    watcher: ProgressListener | undefined,
  ): Promise<PulledImage> {
    const image = withDefaultTag(reference);
    const login = auth ? createHash("sha256").update(JSON.stringify(auth)).digest("hex") : "anybody";
    const work = async (tell: ProgressListener) => {
      const failed = await this.engine.stream("POST", "/images/create", { query: { fromImage: image }, auth, operation: "pull" }).then(
        (report) => readPullReport(report, tell),
        // What the engine says of a registry has the statuses of its own errors.
        (error: AppError) => (isUnavailable(error) ? Promise.reject(error) : error.message),
      );
      if (failed !== undefined) throw toAppErrorFromCli({ stderr: failed }, "pull");
    };
    return this.joinPull(`${image} as ${login}`, image, work, watcher);
  }

  /** Joins the pull under way that has this key, or begins it. */
  private joinPull(
    key: string,
    image: string,
    work: (tell: ProgressListener) => Promise<void>,
    watcher?: ProgressListener,
  ): Promise<PulledImage> {
    const watchers = new Set<ProgressListener>();
    const begin = async () => {
      await this.engine.assertAlive(0);
      await work((progress) => {
        for (const tell of watchers) tell(progress);
      });
      const found = await this.inspect(image);
      if (!found) throw new AppError("IMAGE_NOT_FOUND", { message: `${image} was pulled and is gone again` });
      return found;
    };
    const under = this.pulls.get(key) ?? { watchers, result: begin().finally(() => this.pulls.delete(key)) };
    this.pulls.set(key, under);
    if (watcher) under.watchers.add(watcher);
    return under.result;
  }

  /** The image if this host has it. */
  async inspect(reference: string): Promise<PulledImage | undefined> {
    const image = withDefaultTag(reference);
    try {
      // Asked for as it was written: with a tag, an image id would no longer be one.
      const info = await this.engine.call((docker, abortSignal) => docker.getImage(reference).inspect({ abortSignal } as object));
      const digest = info.RepoDigests?.map((each) => each.split("@")[1]).find(Boolean);
      return { image, id: info.Id, volumes: Object.keys(info.Config.Volumes ?? {}), ...(digest ? { digest } : {}) };
    } catch (error) {
      if (isNotFound(error)) return undefined;
      throw error;
    }
  }

  /**
   * Makes sure that the image is here.
   * @param policy missing: pull if it isn't; always: pull; never: don't
   * @throws AppError IMAGE_NOT_FOUND and those of `pull`
   */
  async ensure(reference: string, policy: "missing" | "always" | "never", platform?: string): Promise<void> {
    if (await this.needsPull(reference, policy)) await this.pull(reference, platform);
  }

  /**
   * Tells whether an image is to be pulled before it can be used.
   * @param policy as of `ensure`
   * @throws AppError IMAGE_NOT_FOUND if it isn't here and must not be pulled
   */
  async needsPull(reference: string, policy: "missing" | "always" | "never"): Promise<boolean> {
    if (policy === "always") return true;
    if (await this.inspect(reference)) return false;
    if (policy === "missing") return true;
    throw new AppError("IMAGE_NOT_FOUND", {
      message: `No such image on this host: ${withDefaultTag(reference)}`,
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

/** What went wrong by the engine's report of a pull: it says so in the report's lines, long after its status. */
async function readPullReport(report: NodeJS.ReadableStream, tell: ProgressListener): Promise<string | undefined> {
  let failure: string | undefined;
  for await (const line of createInterface({ input: report })) {
    if (line.trim() === "") continue;
    const { error, status, id, progressDetail: { current, total } = {} } = JSON.parse(line) as ReportLine;
    failure = error ?? failure;
    if (status === undefined) continue;
    tell({ status, ...(id ? { layer: id } : {}), ...(current === undefined ? {} : { current }), ...(total ? { total } : {}) });
  }
  return failure;
}
