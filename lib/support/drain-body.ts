import type { Readable } from "node:stream";

/** Limit of the bytes that are read and discarded so that the sender gets to see the response; past it the connection is closed. */
export const MAX_DRAINED_BYTES = 32_000_000;

/** Reads and discards the rest of a request's body, up to the limit. */
export function drainBody(body: Readable): void {
  let drainedBytes = 0;
  body
    .on("error", () => undefined)
    .on("data", (chunk: Buffer) => {
      drainedBytes += chunk.length;
      if (drainedBytes > MAX_DRAINED_BYTES) body.destroy();
    })
    // A body that was piped before is paused.
    .resume();
}
