import { AppError } from "../../errors";
import type { Logger } from "../../support/logger";
import { sweepPeriodically } from "../create/sweep-unstarted";
import type { Engine } from "../engine";
import type { DockerCli } from "./docker-cli";

/** Whether the docker CLI of this host can be used with the engine. */
export class CliCheck {
  private knownProblem: string | undefined;
  private check: Promise<void> | undefined;

  constructor(
    private readonly engine: Engine,
    private readonly cli: DockerCli,
    private readonly log: Logger,
  ) {}

  /** Why the CLI can't be used, for people, as last checked; undefined if it can, or if that is not known yet. */
  get problem(): string | undefined {
    return this.knownProblem;
  }

  /**
   * Checks the CLI now and every minute: it or the engine can be upgraded at any time.
   * @returns stops it
   */
  watch(): () => void {
    return sweepPeriodically(async () => void (await this.refresh()), this.log);
  }

  /**
   * Checks the CLI now, and logs a new problem.
   * @returns `problem`
   * @throws AppError ENGINE_UNREACHABLE, ENGINE_TIMEOUT
   */
  async refresh(): Promise<string | undefined> {
    await this.engine.assertAlive();
    // A CLI waits for an engine without a limit: at most one of them.
    this.check ??= this.runCheck().finally(() => {
      this.check = undefined;
    });
    await this.engine.withinDeadline(this.check, AbortSignal.timeout(this.engine.readTimeoutMs), "call");
    return this.knownProblem;
  }

  private async runCheck(): Promise<void> {
    const problem = await this.cli("call", ["version", "--format={{.Server.APIVersion}}"]).then(
      () => undefined,
      (error: AppError) => {
        const isOfCli = error instanceof AppError && (error.code === "DOCKER_CLI_UNUSABLE" || error.code === "ENGINE_ERROR");
        return isOfCli ? error.message : this.knownProblem;
      },
    );
    if (problem !== undefined && problem !== this.knownProblem) this.log.warn("Docker CLI can't be used", { reason: problem });
    this.knownProblem = problem;
  }
}
