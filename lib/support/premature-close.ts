import type { Readable } from "node:stream";

/**
 * Tells when a stream has failed, or gone before its end: also if it had before anybody listened.
 * @param gone gets the error, if there was one
 */
export function onPrematureClose(source: Readable, gone: (error?: Error) => void): void {
  const closed = () => void (source.readableEnded || gone());
  source.once("error", gone).once("close", closed);
  if (source.destroyed) closed();
}
