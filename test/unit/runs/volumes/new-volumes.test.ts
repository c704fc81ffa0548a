import fc from "fast-check";
import { AppError } from "../../../../lib/errors";
import type { Reaper } from "../../../../lib/runs/reaper";
import { NewVolumes } from "../../../../lib/runs/volumes/new-volumes";

type Remove = Parameters<Reaper["removeUnusedVolume"]>[1];

/** Volumes of an engine, which removes when it is let. */
function engineOf(...names: string[]) {
  const there = new Set(names);
  const tries: (() => void)[] = [];
  let each: Remove = (remove) => remove();
  const attempt = (name: string) => each(() => new Promise((done) => tries.push(() => done(void there.delete(name)))));
  const volumes = new NewVolumes({
    removeUnusedVolume: (name, decide) => {
      each = decide;
      return attempt(name);
    },
  });
  /** Lets all removals happen that are under way. */
  const finish = async () => {
    await Promise.resolve();
    for (const go of tries.splice(0)) go();
  };
  return { there, volumes, attempt, finish, under: () => tries.length };
}

test("what a failed request alone has made goes, what it has not made stays", async () => {
  const { there, volumes, finish } = engineOf("new", "old");
  const held = await volumes.hold(["new", "old", "new"]);
  held.discard(["new"]);
  const ended = held.release();
  await finish();
  await ended;
  expect([...there]).toEqual(["old"]);
});

test("in whatever order requests for one new volume end, it stays if one of them is told of it, and goes if all have failed", () => {
  const outcomes = fc.array(fc.constantFrom("given" as const, "unmade" as const, "untouched" as const), { minLength: 1, maxLength: 5 });
  return fc.assert(
    fc.asyncProperty(outcomes, async (all) => {
      const { there, volumes, finish } = engineOf("v");
      const holds = await Promise.all(all.map(() => volumes.hold(["v"])));
      const ended = all.map((outcome, index) => {
        if (outcome === "given") holds[index]?.keep();
        if (outcome === "unmade") holds[index]?.discard(["v"]);
        return holds[index]?.release();
      });
      await finish();
      await Promise.all(ended);
      expect(there.has("v")).toBe(all.includes("given") || !all.includes("unmade"));
    }),
  );
});

test("who comes while it is removed waits until it is gone, and who came before a later attempt keeps it", async () => {
  const { there, volumes, attempt, finish, under } = engineOf("v");
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
  expect([...there]).toEqual([]);
  there.add("v");
  await attempt("v");
  expect(under()).toBe(0);
  next?.keep();
  await next?.release();
  expect([...there]).toEqual(["v"]);
});

test("a removal that fails holds nobody up", async () => {
  const volumes = new NewVolumes({
    removeUnusedVolume: (_name, each) => each(() => Promise.reject(new AppError("ENGINE_UNREACHABLE"))).catch(() => undefined),
  });
  const held = await volumes.hold(["v"]);
  held.discard(["v"]);
  const [, again] = await Promise.all([held.release(), volumes.hold(["v"])]);
  await again.release();
});
