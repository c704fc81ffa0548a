import { createHash } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { AppError, type ErrorCode } from "../../errors";
import { errorCodeOf, Reply } from "../../support/reply";
import { type Found, wasStarted } from "../pool";
import type { Plan } from "../routing/where";

/** The label that says which Idempotency-Key a container was made for. */
export const KEY_LABEL = "docker-server.key";

/** An Idempotency-Key as a label holds it. */
export function hashKey(key: string): string {
  return createHash("sha256").update(key).digest("hex").slice(0, 32);
}

/** How long (ms) another request of the same key is waited for that is still at it, and how often it is looked after. */
const PATIENCE = 10_000;
const LOOK_AGAIN = 100;

/** What the same key has made before may stand in the way of another: with its name, its port or what it has reserved. */
const IN_THE_WAY: ReadonlySet<ErrorCode> = new Set(["NAME_TAKEN", "PORT_TAKEN", "NO_NODE"]);

/**
 * Runs what must not run twice: if its name is taken by what the same key made before, that is the answer. What the same key
 * is just making elsewhere is waited for; should it fail, this one runs.
 * @param find who holds a name
 * @param run the run itself
 */
export async function runOnce(
  plan: Plan,
  key: string | undefined,
  find: (name: string) => Promise<{ node: string; found: Found }[]>,
  run: () => Promise<Reply>,
): Promise<Reply> {
  if (key === undefined) return run();
  const end = performance.now() + PATIENCE;
  for (;;) {
    const outcome = await run().catch((error: unknown) => {
      if (error instanceof AppError && IN_THE_WAY.has(error.code)) return error;
      throw error;
    });
    const code = errorCodeOf(outcome);
    if (outcome instanceof Reply && !(code && IN_THE_WAY.has(code))) return outcome;
    const holders = await find(plan.name).catch(() => []);
    const ofKey = holders.filter(({ found }) => found.labels[KEY_LABEL] === hashKey(key));
    const before = ofKey.find(({ found }) => plan.doneWhenCreated || wasStarted(found));
    if (before)
      return new Reply(200, {
        ...plan.responseFields?.(before.found),
        id: before.found.id,
        name: plan.name,
        status: before.found.state,
        host: before.node,
        repeated: true,
      });
    const hopeless = code === "NAME_TAKEN" ? holders.length > ofKey.length : ofKey.length === 0;
    if (hopeless || performance.now() >= end) {
      if (outcome instanceof AppError) throw outcome;
      return outcome;
    }
    await sleep(LOOK_AGAIN);
  }
}
