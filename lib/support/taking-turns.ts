import { setImmediate as nextTurn } from "node:timers/promises";

/** Time for which items are handled before other work of this process gets its turn. */
const MAX_TURN_MS = 5;

/**
 * Passes items on, and lets other work of this process run in between. Without it, a source that always has more to read, handled by
 * code that never waits, holds up every other request.
 * @param items are closed with the returned generator
 */
export async function* takingTurns<T>(items: AsyncIterable<T>): AsyncGenerator<T> {
  let startedAt = performance.now();
  for await (const item of items) {
    yield item;
    if (performance.now() - startedAt < MAX_TURN_MS) continue;
    await nextTurn();
    startedAt = performance.now();
  }
}
