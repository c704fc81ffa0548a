import type { Readable } from "node:stream";

/**
 * Calls back when a stream fails or closes before its end, also if it already has.
 * @param onClose receives the error, if there is one
 */
export function onPrematureClose(source: Readable, onClose: (error?: Error) => void): void {
  const handleClose = () => void (source.readableEnded || onClose());
  source.once("error", onClose).once("close", handleClose);
  if (source.destroyed) handleClose();
}
