import type { Container } from "dockerode";
import type { NameClaims } from "../create/runner";
import type { Engine } from "../engine";
import type { EngineOperation } from "../engine-errors";
import type { ContainerList } from "./container-list";

/** So long (ms) the engine gives a container to end before it kills it, if nobody says otherwise. */
const DEFAULT_STOP_GRACE_MS = 10_000;

/** What moves containers that are there from one state to another. */
export class Lifecycle {
  constructor(
    private readonly engine: Engine,
    private readonly list: ContainerList,
  ) {}

  /**
   * One that runs already stays as it is.
   * @param id full id, as for all that follow
   * @throws AppError CONTAINER_NOT_FOUND, PORT_TAKEN, INVALID_SPEC
   */
  start(id: string): Promise<void> {
    return this.change(id, (container, abortSignal) => container.start({ abortSignal }), 0, "start");
  }

  /**
   * One that doesn't run stays as it is.
   * @param grace seconds that it is given to end before it is killed; its own if absent
   */
  stop(id: string, grace?: number): Promise<void> {
    return this.change(id, (container, abortSignal) => container.stop({ ...inSeconds(grace), abortSignal }), graceMs(grace));
  }

  /** @param grace as of `stop` */
  restart(id: string, grace?: number): Promise<void> {
    return this.change(id, (container, abortSignal) => container.restart({ ...inSeconds(grace), abortSignal }), graceMs(grace), "start");
  }

  /** @throws AppError NOT_RUNNING, also if it is paused already */
  pause(id: string): Promise<void> {
    return this.change(id, (container, abortSignal) => container.pause({ abortSignal }));
  }

  /** @throws AppError NOT_RUNNING if it isn't paused */
  unpause(id: string): Promise<void> {
    return this.change(id, (container, abortSignal) => container.unpause({ abortSignal }));
  }

  /**
   * @param claims keep names to one container where there are other hosts
   * @throws AppError NAME_TAKEN, also by a container of another host
   */
  async rename(id: string, from: string, to: string, claims: NameClaims | undefined): Promise<void> {
    if (from === to) return;
    const named = (name: string) => this.change(id, (container, abortSignal) => container.rename({ name, abortSignal }));
    const claim = claims?.open(to);
    try {
      await claim?.confirm();
      await named(to);
      await claim?.recheck().catch(async (error: Error) => {
        await named(from);
        throw error;
      });
    } finally {
      claim?.close();
    }
  }

  private async change(
    id: string,
    work: (container: Container, abortSignal: AbortSignal) => Promise<unknown>,
    longer = 0,
    during: EngineOperation = "call",
  ): Promise<void> {
    await this.engine.assertAlive();
    const late = AbortSignal.timeout(this.engine.readTimeoutMs + longer);
    try {
      await this.engine.call((docker) => work(docker.getContainer(id), late).catch(ignoreNotModified), during);
    } finally {
      this.list.invalidate();
    }
  }
}

/** The engine says so when there was nothing to do. */
function ignoreNotModified(error: { statusCode?: number }): void {
  if (error.statusCode !== 304) throw error;
}

const inSeconds = (grace: number | undefined) => (grace === undefined ? {} : { t: grace });
const graceMs = (grace: number | undefined) => (grace === undefined ? DEFAULT_STOP_GRACE_MS : grace * 1000);
