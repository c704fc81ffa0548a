import { createHash } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { AppError, type ErrorCode } from "../../errors";
import { errorCodeOf, Reply } from "../../support/reply";
import { type Found, wasStarted } from "../local-host";
import type { Plan } from "../routing/where";

/** The label with the hash of the Idempotency-Key that a container was created for. */
export const KEY_LABEL = "docker-server.key";

/** Hashes an Idempotency-Key for the label: 32 hex digits. */
export function hashKey(key: string): string {
  return createHash("sha256").update(key).digest("hex").slice(0, 32);
}

/** How long to wait for another request of the same key that is still creating its container, and how often to look for it. */
const SAME_KEY_WAIT_MS = 10_000;
const LOOKUP_INTERVAL_MS = 100;

/** Errors that the container of an earlier request with the same key can cause: by its name, its port or its reservation. */
const CONFLICTS: ReadonlySet<ErrorCode> = new Set(["NAME_TAKEN", "PORT_TAKEN", "NO_NODE"]);

/**
 * Runs a plan once for each Idempotency-Key. If an earlier request with this key has created the container, the reply describes it,
 * with `repeated: true`. If another request is still creating it, this one waits, and runs in case the other fails.
 * @param key without one the plan simply runs
 * @param find returns the containers of a name, with their nodes
 */
export async function runOnce(
  plan: Plan,
  key: string | undefined,
  find: (name: string) => Promise<{ node: string; found: Found }[]>,
  run: () => Promise<Reply>,
): Promise<Reply> {
  if (key === undefined) return run();
  const deadline = performance.now() + SAME_KEY_WAIT_MS;
  for (;;) {
    const outcome = await run().catch((error: unknown) => {
      if (error instanceof AppError && CONFLICTS.has(error.code)) return error;
      throw error;
    });
    const code = errorCodeOf(outcome);
    if (outcome instanceof Reply && !(code && CONFLICTS.has(code))) return outcome;
    const holders = await find(plan.name).catch(() => []);
    const ofSameKey = holders.filter(({ found }) => found.labels[KEY_LABEL] === hashKey(key));
    const existing = ofSameKey.find(({ found }) => plan.doneWhenCreated || wasStarted(found));
    if (existing)
      return new Reply(200, {
        ...plan.responseFields?.(existing.found),
        id: existing.found.id,
        name: plan.name,
        status: existing.found.state,
        host: existing.node,
        repeated: true,
      });
    const cannotSucceed = code === "NAME_TAKEN" ? holders.length > ofSameKey.length : ofSameKey.length === 0;
    if (cannotSucceed || performance.now() >= deadline) {
      if (outcome instanceof AppError) throw outcome;
      return outcome;
    }
    await sleep(LOOKUP_INTERVAL_MS);
  }
}
