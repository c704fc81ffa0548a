import type { Engine } from "../docker/engine";

/** The clock of the engine's machine: what has expired there is not to be told by this machine's clock, which may differ. */
export class EngineClock {
  private offset: Promise<number> | undefined;

  constructor(private readonly engine: Engine) {}

  /**
   * @returns seconds since 1970; asked of the engine once, then counted on
   * @throws AppError ENGINE_UNREACHABLE
   */
  async now(): Promise<number> {
    this.offset ??= this.measure();
    try {
      return (performance.now() + (await this.offset)) / 1000;
    } catch (error) {
      this.offset = undefined;
      throw error;
    }
  }

  /** Asks again: clocks are set. */
  async refresh(): Promise<number> {
    const offset = this.measure();
    await offset;
    this.offset = offset;
    return this.now();
  }

  private async measure(): Promise<number> {
    const { SystemTime } = (await this.engine.call((docker) => docker.info())) as { SystemTime: string };
    return Date.parse(SystemTime) - performance.now();
  }
}
