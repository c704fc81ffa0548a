import type { NameClaimer } from "../docker/create/runner";
import type { DockerHost } from "../docker/docker-host";
import { AppError } from "../errors";

/** Keeps the aliases of managed containers apart from each other and from the names of all containers. */
export class Aliases {
  /** Aliases that are being given to a container. */
  private readonly claimed = new Set<string>();

  constructor(private readonly docker: Pick<DockerHost, "containers" | "runner">) {}

  /**
   * Claims an alias while `work` gives it to a container.
   * @param alias undefined if there is none to give
   * @param claims checks it against the other nodes; undefined without a cluster
   * @param work gets `confirm`, which must be called before the work is done and throws AppError NAME_TAKEN
   * @throws AppError NAME_TAKEN
   */
  async whileClaimed<T>(
    alias: string | undefined,
    claims: NameClaimer | undefined,
    work: (confirm: () => Promise<void>) => Promise<T>,
  ): Promise<T> {
    if (alias === undefined) return work(async () => undefined);
    if (this.claimed.has(alias)) throw nameTaken(alias);
    this.claimed.add(alias);
    let claim: ReturnType<NameClaimer["open"]> | undefined;
    try {
      claim = claims?.open(alias);
      const { containers, runner } = this.docker;
      if (runner.isStarting(alias) || (await containers.findMatches(alias)).exact.length > 0) throw nameTaken(alias);
      return await work(async () => {
        await claim?.confirm();
        // A run of that name may have begun before this container could be found by it.
        if (runner.isStarting(alias)) throw nameTaken(alias);
      });
    } finally {
      claim?.close();
      this.claimed.delete(alias);
    }
  }
}

const nameTaken = (name: string) => new AppError("NAME_TAKEN", { message: `The name ${name} is taken`, details: { name } });
