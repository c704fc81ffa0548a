import type { IncomingMessage } from "node:http";

/**
 * Breaks off a response of which nothing comes for some time.
 * @param reasonOf finds out what to break it off with
 */
export function breakOffWhenStalled(response: IncomingMessage, timeoutMs: number, reasonOf: () => Promise<Error>): void {
  const { socket } = response;
  const goOn = () => void socket.setTimeout(timeoutMs);
  const onTimeout = async () => {
    // What has come waits for its reader.
    if (response.complete || response.readableLength > 0) return goOn();
    const { bytesRead } = socket;
    const reason = await reasonOf();
    // After a pause of this process the bytes come later than the timeout.
    if (socket.bytesRead > bytesRead) goOn();
    else response.destroy(reason);
  };
  // A stream over SSH has no timeout. The agent sets its own again when the connection is free.
  socket.setTimeout?.(timeoutMs).on("timeout", onTimeout);
  response.once("close", () => socket.off("timeout", onTimeout));
}
