import { text } from "node:stream/consumers";
import { isNotFound } from "../../errors";
import type { Engine } from "../engine";

/**
 * Watches for the removal of a container. To be called before it can begin: when the engine no longer finds a container, its name may
 * still be taken for a moment.
 * @param id full id
 * @returns `done` resolves when the container is removed and its name is free; `close` must be called at the end
 * @throws AppError CONTAINER_NOT_FOUND
 */
export async function watchRemoval(engine: Engine, id: string): Promise<{ done: () => Promise<void>; close: () => void }> {
  const stream = await engine.stream("POST", `/containers/${id}/wait`, { query: { condition: "removed" } });
  stream.on("error", () => undefined);
  return {
    done: async () => {
      const deadline = AbortSignal.timeout(engine.readTimeoutMs);
      await engine.withinDeadline(text(stream), deadline, "call").catch((error) => {
        if (!isNotFound(error)) throw error;
      });
    },
    close: () => stream.destroy(),
  };
}

/**
 * Waits for the end of a removal that is under way.
 * @param id full id
 * @throws AppError ENGINE_UNREACHABLE, ENGINE_TIMEOUT
 */
export async function awaitRemoval(engine: Engine, id: string): Promise<void> {
  try {
    const { done, close } = await watchRemoval(engine, id);
    await done().finally(close);
  } catch (error) {
    if (!isNotFound(error)) throw error;
  }
}
