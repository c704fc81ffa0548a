import { type Engine, leaseBedEngine, startBedEngine } from "../../scripts/bed-engine";
import { bed } from "./bed";
import { emptyEngine } from "./empty-engine";
import { importBusybox } from "./images";

export type { Engine } from "../../scripts/bed-engine";

/**
 * Starts an engine for one suite, without any image; needs root on Linux. Only tests that kill, freeze, disconnect or configure
 * an engine need it; the others use `leaseEngine`. `name` is only a label; `args` are further arguments of dockerd. Several can run
 * at once, in several processes. Throws an Error with dockerd's last log lines if it cannot start.
 */
export const startEngine = (options: { name: string; args?: string[] }): Promise<Engine> => startBedEngine(bed, options);

/** Leased engines stay up until the end of this process: jest's main process, which outlives its workers. */
const OWNER = Number(process.env.TEST_ENGINE_OWNER ?? process.pid);

/**
 * Leases an engine that has the image `busybox` and nothing else. `stop()` empties it and hands it back to the next suite; if it can't
 * be emptied, `stop()` removes it and throws an Error. The methods that kill, freeze or disconnect it throw an Error.
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
