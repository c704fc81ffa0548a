import { Access } from "../../access/access";
import type { Confinement } from "../../docker/containers/confinement";
import type { Images } from "../../docker/images/images";
import { AppError } from "../../errors";
import type { Logger } from "../../support/logger";
import { outputFields } from "../../support/tail-buffer";
import type { RunDeps } from "../attached-container";
import { ensureImage } from "../ensure-image";
import type { RunLimit, RunSignals } from "../run-limits";
import type { Semaphore } from "../semaphore";
import { type CodeOutcome, Sandbox } from "./sandbox";
import type { SandboxImage, SandboxSettings } from "./sandbox-options";
import { MAX_WARM_MS, type PoolSettings, WarmPool } from "./warm-pool";

export type CodeSettings = SandboxSettings & PoolSettings;

interface CodeRunDeps extends RunDeps {
  images: Images;
  confinement: Confinement;
  slots: Semaphore;
}

/** What a code run gives. */
export interface CodeResult {
  /** JSON, as the program wrote it */
  text: string;
  isWarm: boolean;
}

const LIMIT_MESSAGES: Record<RunLimit, (settings: CodeSettings) => string> = {
  "limits.execution_time": ({ run_max_time }) => `The run took longer than ${run_max_time} s`,
  "limits.read.size": ({ run_max_output }) => `The run wrote more than ${run_max_output} bytes`,
  "limits.memory": ({ run_memory }) => `The run needed more memory than ${run_memory} bytes`,
};

/** Runs code on this host: a sandbox gets a payload and returns an object. */
export class CodeRuns {
  private readonly pool: WarmPool;
  /** Sandboxes are removed after the response; `close` waits for it. */
  private readonly removals = new Set<Promise<void>>();

  constructor(
    private readonly deps: CodeRunDeps,
    private readonly settings: CodeSettings,
    log: Logger,
  ) {
    this.pool = new WarmPool(
      (image, cancelSignal) => Sandbox.start(deps, settings, image, Access.full, MAX_WARM_MS, cancelSignal),
      settings,
      log,
    );
    deps.images.releaseWaiting = (id) => this.pool.release(id);
  }

  /** Runs that found a warm sandbox, and that did not, since the start. Those of confined tokens have none. */
  readonly warmPoolTotals = { hits: 0, misses: 0 };

  /** Number of sandboxes that wait for a payload. */
  get warmCount(): number {
    return this.pool.size;
  }

  /**
   * Runs a payload when a slot is free.
   * @param access what the client may do; a sandbox with its labels is never a warm one
   * @param onStart called when the run has a started sandbox: a warm one at once
   * @returns the object that the program wrote, unchanged, and whether its sandbox was warm; undefined if the image is still being pulled
   * @throws AppError RUN_LIMITED with the limit as its code, RUN_NO_RESULT, NO_ROOM, ABANDONED, IMAGE_NOT_FOUND
   */
  async run(reference: string, payload: object, access: Access, signals: RunSignals, onStart: () => void): Promise<CodeResult | undefined> {
    const { images, slots, confinement } = this.deps;
    access.assertImage(reference);
    let image: SandboxImage | undefined = await images.inspect(reference);
    if (!image) {
      const { isPresent } = await ensureImage(images, { image: reference, pull_policy: "missing" }, signals.image);
      if (!isPresent) return undefined;
      image = await images.inspect(reference);
    }
    if (!image)
      throw new AppError("IMAGE_NOT_FOUND", { message: `${reference} was pulled and is gone again`, details: { field: "image" } });
    const { labels } = access;
    if (labels) image = { ...image, labels: { ...(await confinement.labelsToClear(image.id)), ...labels } };
    const releaseSlot = await slots.acquire(signals.slot);
    const endRun = labels ? () => undefined : this.pool.beginRun(image);
    try {
      const bytes = Buffer.from(JSON.stringify(payload));
      const { outcome, isWarm } = await this.runInSandbox(image, bytes, access, signals.cancel, onStart, releaseSlot);
      return { text: this.resultOf(outcome), isWarm };
    } finally {
      endRun();
    }
  }

  /** Removes all sandboxes; resolves when they are removed. */
  async close(): Promise<void> {
    await Promise.all([this.pool.close(), ...this.removals]);
  }

  private async runInSandbox(
    image: SandboxImage,
    payload: Buffer,
    access: Access,
    cancelSignal: AbortSignal,
    onStart: () => void,
    releaseSlot: () => void,
  ): Promise<{ outcome: CodeOutcome; isWarm: boolean }> {
    let sandbox: Sandbox | undefined;
    try {
      sandbox = image.labels ? undefined : await this.pool.take(image);
      if (sandbox) onStart();
      const outcome = await sandbox?.run(payload, cancelSignal);
      const isHit = outcome !== undefined && !outcome.isStale;
      if (!image.labels) this.warmPoolTotals[isHit ? "hits" : "misses"] += 1;
      if (isHit) return { outcome, isWarm: true };
      if (sandbox) void this.remove(sandbox);
      sandbox = await Sandbox.start(this.deps, this.settings, image, access, 0, cancelSignal);
      onStart();
      return { outcome: await sandbox.run(payload, cancelSignal), isWarm: false };
    } finally {
      // The slot is released when the container is removed: until then it can use the processors.
      if (sandbox) void this.remove(sandbox).then(releaseSlot);
      else releaseSlot();
    }
  }

  private remove(sandbox: Sandbox): Promise<void> {
    const removal = sandbox.close().finally(() => this.removals.delete(removal));
    this.removals.add(removal);
    return removal;
  }

  private resultOf({ result, limit, exitCode, tails }: CodeOutcome): string {
    if (result !== undefined) return result;
    const details = { ...outputFields(tails), ...(exitCode === undefined ? {} : { exit_code: exitCode }) };
    if (limit) throw new AppError("RUN_LIMITED", { clientCode: limit, message: LIMIT_MESSAGES[limit](this.settings), details });
    throw new AppError("RUN_NO_RESULT", { details });
  }
}
