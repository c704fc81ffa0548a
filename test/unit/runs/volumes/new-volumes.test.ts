import fc from "fast-check";
import { AppError } from "../../../../lib/errors";
import type { Reaper } from "../../../../lib/runs/reaper";
import { NewVolumes } from "../../../../lib/runs/volumes/new-volumes";

type Remove = Parameters<Reaper["removeUnusedVolume"]>[1];

/** An engine whose volume removals wait for `finish`. */
function engineOf(...names: string[]) {
  const existing = new Set(names);
  const pendingRemovals: (() => void)[] = [];
  let onAttempt: Remove = (remove) => remove();
  const attempt = (name: string) => onAttempt(() => new Promise((done) => pendingRemovals.push(() => done(void existing.delete(name)))));
  const volumes = new NewVolumes({
    removeUnusedVolume: (name, decide) => {
      onAttempt = decide;
      return attempt(name);
    },
  });
  /** Completes all running removals. */
  const finish = async () => {
    await Promise.resolve();
    for (const complete of pendingRemovals.splice(0)) complete();
  };
  return { existing, volumes, attempt, finish, pendingCount: () => pendingRemovals.length };
}

describe("NewVolumes", () => {
  test("a volume that only a failed request created is removed, others stay", async () => {
    const { existing, volumes, finish } = engineOf("new", "old");
    const held = await volumes.hold(["new", "old", "new"]);
    held.discard(["new"]);
    const ended = held.release();
    await finish();
    await ended;
    expect([...existing]).toEqual(["old"]);
  });

  test("a shared new volume stays if any request succeeds, in any order", () => {
    const outcomes = fc.array(fc.constantFrom("given" as const, "unmade" as const, "untouched" as const), { minLength: 1, maxLength: 5 });
    return fc.assert(
      fc.asyncProperty(outcomes, async (all) => {
        const { existing, volumes, finish } = engineOf("v");
        const holds = await Promise.all(all.map(() => volumes.hold(["v"])));
        const ended = all.map((outcome, index) => {
          if (outcome === "given") holds[index]?.keep();
          if (outcome === "unmade") holds[index]?.discard(["v"]);
          return holds[index]?.release();
        });
        await finish();
        await Promise.all(ended);
        expect(existing.has("v")).toBe(all.includes("given") || !all.includes("unmade"));
      }),
    );
  });

  test("a new hold waits for a running removal and prevents a later attempt", async () => {
    const { existing, volumes, attempt, finish, pendingCount } = engineOf("v");
    const failed = await volumes.hold(["v"]);
    failed.discard(["v"]);
    const ended = failed.release();
    let next: Awaited<ReturnType<typeof volumes.hold>> | undefined;
    const coming = volumes.hold(["v"]).then((held) => {
      next = held;
    });
    await new Promise(setImmediate);
    expect(next).toBeUndefined();
    await finish();
    await Promise.all([ended, coming]);
    expect([...existing]).toEqual([]);
    existing.add("v");
    await attempt("v");
    expect(pendingCount()).toBe(0);
    next?.keep();
    await next?.release();
    expect([...existing]).toEqual(["v"]);
  });

  test("a failed removal doesn't block new holds", async () => {
    const volumes = new NewVolumes({
      removeUnusedVolume: (_name, each) => each(() => Promise.reject(new AppError("ENGINE_UNREACHABLE"))).catch(() => undefined),
    });
    const held = await volumes.hold(["v"]);
    held.discard(["v"]);
    const [, again] = await Promise.all([held.release(), volumes.hold(["v"])]);
    await again.release();
  });
});
