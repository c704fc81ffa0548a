import { type Engine, leaseBedEngine, startBedEngine } from "../../scripts/bed-engine";
import { bed } from "./bed";
import { emptyEngine } from "./empty-engine";
import { importBusybox } from "./images";

export type { Engine } from "../../scripts/bed-engine";

/**
 * Starts an engine that is the suite's own, without any image; needs root on Linux. Only tests that kill, freeze, cut off or set up
 * an engine need it: see `leaseEngine`. `name` is only for people; `args` are further arguments of dockerd. Several may run at once,
 * in several processes. Throws an Error with dockerd's last log lines if it cannot start.
 */
export const startEngine = (options: { name: string; args?: string[] }): Promise<Engine> => startBedEngine(bed, options);

/** The process that engines stay up for: jest's first one, which outlives its workers. */
const OWNER = Number(process.env.TEST_ENGINE_OWNER ?? process.pid);

/**
 * Leases an engine that has the image `busybox` and nothing else. `stop()` empties it and hands it back, so that the next suite needn't
 * start one; it throws an Error, and the engine is removed, if it can't be emptied. It may not be killed, frozen or cut off.
 */
export async function leaseEngine({ name }: { name: string }): Promise<Engine> {
  const engine = await leaseBedEngine(bed, OWNER, name);
  const remove = engine.stop;
  try {
    await importBusybox(engine);
  } catch (error) {
    await remove();
    throw error;
  }
  const refuse = (): never => {
    throw new Error("a leased engine stays up: take one with startEngine");
  };
  let stopped = false;
  return Object.assign(engine, {
    kill: refuse,
    freeze: refuse,
    thaw: refuse,
    restart: refuse,
    linkDown: refuse,
    linkUp: refuse,
    async stop() {
      if (stopped) return;
      stopped = true;
      try {
        await emptyEngine(engine);
      } catch (error) {
        await remove();
        throw error;
      }
      await engine.handBack();
    },
  });
}
