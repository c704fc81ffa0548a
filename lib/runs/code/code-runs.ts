import type { Images } from "../../docker/images/images";
import { AppError } from "../../errors";
import type { Logger } from "../../support/logger";
import { outputFields } from "../../support/tail-buffer";
import type { RunDeps } from "../attached-container";
import { ensureImage } from "../ensure-image";
import type { RunLimit } from "../run-limits";
import type { Semaphore } from "../semaphore";
import { type CodeEnd, Sandbox, type SandboxImage } from "./sandbox";
import type { SandboxSettings } from "./sandbox-options";
import { type PoolSettings, MAX_WARM_MS, WarmPool } from "./warm-pool";

export type CodeSettings = SandboxSettings & PoolSettings;

interface Tools extends RunDeps {
  images: Images;
  slots: Semaphore;
}

const LIMITS: Record<RunLimit, (settings: CodeSettings) => string> = {
  "limits.execution_time": ({ run_max_time }) => `The run took longer than ${run_max_time} s`,
  "limits.read.size": ({ run_max_output }) => `The run wrote more than ${run_max_output} bytes`,
  "limits.memory": ({ run_memory }) => `The run needed more memory than ${run_memory} bytes`,
};

/** Runs code on this host: a payload goes to a sandbox, an object comes back. */
export class CodeRuns {
  private readonly pool: WarmPool;
  /** Sandboxes that are being removed after their answer has left. */
  private readonly removals = new Set<Promise<void>>();

  constructor(
    private readonly tools: Tools,
    private readonly settings: CodeSettings,
    log: Logger,
  ) {
    this.pool = new WarmPool((image, ended) => Sandbox.open(tools, settings, image, MAX_WARM_MS, ended), settings, log);
  }

  /** How many sandboxes wait for a payload. */
  get warmCount(): number {
    return this.pool.size;
  }

  /**
   * Runs a payload as soon as there is a place.
   * @param ended ends it early
   * @param enough ends the wait for the image
   * @param started called when its sandbox is there, as it may have been for long
   * @returns the object that its program wrote, as it wrote it; undefined if the image is still being pulled
   * @throws AppError RUN_LIMITED with the limit as its code, RUN_NO_RESULT, NO_ROOM, ABANDONED, IMAGE_NOT_FOUND
   */
  async run(reference: string, payload: object, ended: AbortSignal, enough: AbortSignal, started: () => void): Promise<string | undefined> {
    const { images, slots } = this.tools;
    let image = await images.inspect(reference);
    if (!image) {
      if (!(await ensureImage(images, { image: reference, pull_policy: "missing" }, enough, []))) return undefined;
      image = await images.inspect(reference);
    }
    if (!image)
      throw new AppError("IMAGE_NOT_FOUND", { message: `${reference} was pulled and is gone again`, details: { field: "image" } });
    const leave = await slots.take(ended);
    const end = this.pool.beginRun(image);
    try {
      return this.resultOf(await this.runIn(image, Buffer.from(JSON.stringify(payload)), ended, started, leave));
    } finally {
      end();
    }
  }

  /** Removes all that is there for runs; resolves when it is removed. */
  async close(): Promise<void> {
    await Promise.all([this.pool.close(), ...this.removals]);
  }

  private async runIn(image: SandboxImage, payload: Buffer, ended: AbortSignal, started: () => void, leave: () => void): Promise<CodeEnd> {
    let sandbox: Sandbox | undefined;
    try {
      sandbox = await this.pool.take(image);
      if (sandbox) started();
      const outcome = await sandbox?.run(payload, ended);
      if (outcome && !outcome.stale) return outcome;
      if (sandbox) void this.remove(sandbox);
      sandbox = await Sandbox.open(this.tools, this.settings, image, 0, ended);
      started();
      return await sandbox.run(payload, ended);
    } finally {
      // The place is free when its container is gone, for until then it may be at work.
      if (sandbox) void this.remove(sandbox).then(leave);
      else leave();
    }
  }

  private remove(sandbox: Sandbox): Promise<void> {
    const removal = sandbox.close().finally(() => this.removals.delete(removal));
    this.removals.add(removal);
    return removal;
  }

  private resultOf({ result, limit, exit_code, tails }: CodeEnd): string {
    if (result !== undefined) return result;
    const details = { ...outputFields(tails), ...(exit_code === undefined ? {} : { exit_code }) };
    if (limit) throw new AppError("RUN_LIMITED", { clientCode: limit, message: LIMITS[limit](this.settings), details });
    throw new AppError("RUN_NO_RESULT", { details });
  }
}
