import { type Engine, leaseBedEngine, startBedEngine } from "../../scripts/bed-engine";
import { type EngineKind, parseEngineKinds } from "../../scripts/engine-kind";
import { bed } from "./bed";
import { emptyEngine } from "./empty-engine";
import { importBusybox } from "./images";

export type { Engine } from "../../scripts/bed-engine";
export type { EngineKind } from "../../scripts/engine-kind";

/** The kinds of engines that the suites run on: the first where there is one host; the hosts of a pool take them in turn. */
const KINDS = parseEngineKinds(process.env.TEST_ENGINES ?? "28,20.10,28-containerd");

/** The kind of the host with this index in a pool, or of the only host. */
export const engineKind = (index = 0): EngineKind => KINDS[index % KINDS.length] as EngineKind;

/** Whether the only engine is Podman. */
export const isPodman = engineKind() === "podman";

/** How the only engine names an image of Docker Hub such as `busybox:latest`: Podman adds the registry. */
export const hubImage = (name: string): string => (isPodman ? `docker.io/library/${name}` : name);

/** How the only engine shows a limit of CPUs: Podman as a share of a period. */
export const cpuLimit = (cpus: number) => (isPodman ? { CpuQuota: cpus * 100_000, CpuPeriod: 100_000 } : { NanoCpus: cpus * 1e9 });

/** How the only engine shows the address of a port that is published on all addresses. */
export const ALL_ADDRESSES = isPodman ? "0.0.0.0" : "";

/**
 * Declares a test of what Podman lacks: it is skipped where the only host is Podman.
 * @param reason comes behind the title there
 */
export const unlessPodman =
  (reason: string): ((title: string, body: () => Promise<void>) => void) =>
  (title, body) => {
    if (isPodman) test.skip(`${title} (not on Podman: ${reason})`, body);
    else test(title, body);
  };

/**
 * Starts an engine for one suite, without any image; needs root on Linux. Only tests that kill, freeze, disconnect or configure
 * an engine need it; the others use `leaseEngine`. `name` is only a label; `args` and `env` are further arguments and environment
 * variables of dockerd. Several can run at once, in several processes. Throws an Error with dockerd's last log lines if it cannot start.
 */
export const startEngine = (options: { name: string; kind?: EngineKind; args?: string[]; env?: Record<string, string> }): Promise<Engine> =>
  startBedEngine(bed, { kind: engineKind(), ...options });

/** Leased engines stay up until the end of this process: jest's main process, which outlives its workers. */
const OWNER = Number(process.env.TEST_ENGINE_OWNER ?? process.pid);

/**
 * Leases an engine that has the image `busybox` and nothing else. `stop()` empties it and hands it back to the next suite; if it can't
 * be emptied, `stop()` removes it and throws an Error. The methods that kill, freeze or disconnect it throw an Error.
 */
export async function leaseEngine(options: { name: string; kind?: EngineKind }): Promise<Engine> {
  const engine = await leaseBedEngine(bed, OWNER, { kind: engineKind(), ...options });
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
