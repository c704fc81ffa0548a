import { createHash } from "node:crypto";
import { createInterface } from "node:readline";
import { AppError } from "../errors";
import type { Cli } from "./cli";
import type { Engine, RegistryAuth } from "./engine";
import { fromCli } from "./errors";
import { withTag } from "./reference";

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

/** The images of this host. */
export class Images {
  /** Pulls under way: a repeat joins. */
  private readonly pulls = new Map<string, Promise<PulledImage>>();

  constructor(
    private readonly engine: Engine,
    private readonly cli: Cli,
  ) {}

  /**
   * Pulls an image with the host's own credentials; one pull under way serves all who ask for the same.
   * @param reference any reference
   * @param platform such as linux/arm64
   * @throws AppError INVALID_REFERENCE, IMAGE_NOT_FOUND, IMAGE_DENIED, REGISTRY_UNREACHABLE
   */
  async pull(reference: string, platform?: string): Promise<PulledImage> {
    const image = withTag(reference);
    return this.join(`${image} ${platform ?? ""}`, image, async () => {
      await this.cli("pull", ["pull", "--quiet", ...(platform ? [`--platform=${platform}`] : []), "--", image]);
    });
  }

  /**
   * Pulls an image with a caller's own login, over the Engine API: it is in no argument and on no disk.
   * One pull under way serves all who ask for the same with the same login.
   * @throws AppError as `pull`
   */
  async pullAs(reference: string, auth: RegistryAuth): Promise<PulledImage> {
    const image = withTag(reference);
    const login = createHash("sha256").update(JSON.stringify(auth)).digest("hex");
    return this.join(`${image} as ${login}`, image, async () => {
      const failed = await this.engine.stream("POST", "/images/create", { query: { fromImage: image }, auth, during: "pull" }).then(
        failureIn,
        // What the engine says of a registry has the statuses of its own errors.
        (error: AppError) => (error.kind === "unavailable" ? Promise.reject(error) : error.message),
      );
      if (failed !== undefined) throw fromCli({ stderr: failed }, "pull");
    });
  }

  /** Joins the pull under way that has this key, or begins it. */
  private join(key: string, image: string, work: () => Promise<void>): Promise<PulledImage> {
    const begin = async () => {
      await this.engine.assertAlive(0);
      await work();
      const found = await this.inspect(image);
      if (!found) throw new AppError("IMAGE_NOT_FOUND", { message: `${image} was pulled and is gone again` });
      return found;
    };
    const under = this.pulls.get(key) ?? begin().finally(() => this.pulls.delete(key));
    this.pulls.set(key, under);
    return under;
  }

  /** The image if this host has it. */
  async inspect(reference: string): Promise<PulledImage | undefined> {
    const image = withTag(reference);
    try {
      // Asked for as it was written: with a tag, an image id would no longer be one.
      const info = await this.engine.call((docker, abortSignal) => docker.getImage(reference).inspect({ abortSignal } as object));
      const digest = info.RepoDigests?.map((each) => each.split("@")[1]).find(Boolean);
      return { image, id: info.Id, volumes: Object.keys(info.Config.Volumes ?? {}), ...(digest ? { digest } : {}) };
    } catch (error) {
      if (error instanceof AppError && error.kind === "not_found") return undefined;
      throw error;
    }
  }

  /**
   * Makes sure that the image is here.
   * @param policy missing: pull if it isn't; always: pull; never: don't
   * @throws AppError IMAGE_NOT_FOUND and those of `pull`
   */
  async ensure(reference: string, policy: "missing" | "always" | "never", platform?: string): Promise<void> {
    if (await this.mustPull(reference, policy)) await this.pull(reference, platform);
  }

  /**
   * Tells whether an image is to be pulled before it can be used.
   * @param policy as of `ensure`
   * @throws AppError IMAGE_NOT_FOUND if it isn't here and must not be pulled
   */
  async mustPull(reference: string, policy: "missing" | "always" | "never"): Promise<boolean> {
    if (policy === "always") return true;
    if (await this.inspect(reference)) return false;
    if (policy === "missing") return true;
    throw new AppError("IMAGE_NOT_FOUND", { message: `No such image on this host: ${withTag(reference)}`, details: { field: "image" } });
  }
}

/** What went wrong by the engine's report of a pull: it says so in the report's lines, long after its status. */
async function failureIn(report: NodeJS.ReadableStream): Promise<string | undefined> {
  let failure: string | undefined;
  for await (const line of createInterface({ input: report })) {
    if (line.trim() !== "") failure = (JSON.parse(line) as { error?: string }).error ?? failure;
  }
  return failure;
}
