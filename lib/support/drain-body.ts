import type { Readable } from "node:stream";

/** So much (bytes) of a body that nobody wants is read off, so that its sender gets to see the answer; then it is cut off. */
const EXCESS = 32_000_000;

/** Reads off what is left of a request's body, and ends the connection if that is too much. */
export function drainBody(body: Readable): void {
  let seen = 0;
  body
    .on("error", () => undefined)
    .on("data", (chunk: Buffer) => {
      seen += chunk.length;
      if (seen > EXCESS) body.destroy();
    })
    // What was piped before stands still.
    .resume();
}
