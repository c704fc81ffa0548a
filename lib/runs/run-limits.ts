import type { Engine } from "../docker/engine";
import { AppError, isNotFound } from "../errors";
import { settlesBefore } from "../support/settles-before";

/** Which limit ended a run. */
export type RunLimit = "limits.execution_time" | "limits.read.size" | "limits.memory";

/** An out-of-memory kill may be known a moment after the end it made (ms). */
const OOM_PAUSE = 50;
const KILLED = 137;

/**
 * What ends a run early: its time, or whoever it is for.
 * @param time ms
 * @param ended ends it from outside
 * @returns `stop`, aborted with the limit's name if it was a limit; `clear` to be called when the run is over
 */
export function stopAfter(time: number, ended: AbortSignal): { stop: AbortController; clear: () => void } {
  const stop = new AbortController();
  const end = () => stop.abort();
  const timer = setTimeout(() => stop.abort("limits.execution_time" satisfies RunLimit), Math.max(0, time));
  if (ended.aborted) end();
  else ended.addEventListener("abort", end, { once: true });
  return {
    stop,
    clear() {
      clearTimeout(timer);
      ended.removeEventListener("abort", end);
    },
  };
}

/**
 * @param answer of the wait for a container's end
 * @throws AppError ENGINE_UNREACHABLE if there is none
 */
export function exitCode(answer: string): number {
  try {
    return (JSON.parse(answer) as { StatusCode: number }).StatusCode;
  } catch (cause) {
    throw new AppError("ENGINE_UNREACHABLE", { message: "The Docker engine was gone before the run had ended", cause });
  }
}

/** Kills a container, unless it has ended by itself. */
export async function killContainer(engine: Engine, id: string): Promise<void> {
  try {
    await engine.call((docker, abortSignal) => docker.getContainer(id).kill({ abortSignal }));
  } catch (error) {
    if (!isNotFound(error) && !(error instanceof AppError && error.code === "NOT_RUNNING")) throw error;
  }
}

/** Tells whether a container that ended with this code was out of memory. */
export async function findMemoryLimit(engine: Engine, id: string, code: number): Promise<RunLimit | undefined> {
  for (let tries = code === KILLED ? 3 : Number(code !== 0); tries > 0; tries -= 1) {
    if ((await inspectState(engine, id))?.OOMKilled) return "limits.memory";
    if (tries > 1) await settlesBefore(new Promise(() => undefined), AbortSignal.timeout(OOM_PAUSE));
  }
  return undefined;
}

/** What the engine says of a container's end; undefined if somebody has removed it. */
export async function inspectState(engine: Engine, id: string): Promise<{ OOMKilled: boolean; FinishedAt: string } | undefined> {
  try {
    return (await engine.call((docker, abortSignal) => docker.getContainer(id).inspect({ abortSignal }))).State;
  } catch (error) {
    if (isNotFound(error)) return undefined;
    throw error;
  }
}
