import { type Duplex, pipeline } from "node:stream";

/** Time for one socket to finish after the other has ended. */
const HALF_CLOSED_TIMEOUT_MS = 5000;

/**
 * Connects two sockets in both directions, with backpressure; when one ends, so does the other.
 * @param client with `head`, the bytes that were read from it already
 * @param closeSocket closes a socket that has not finished 5 s after the other one ended
 */
export function pipeBoth(client: { socket: Duplex; head: Buffer }, upstream: Duplex, closeSocket: (socket: Duplex) => void): void {
  const { socket, head } = client;
  if (socket.destroyed || upstream.destroyed) {
    socket.destroy();
    upstream.destroy();
    return;
  }
  if (head.length > 0) socket.unshift(head);
  let timer: NodeJS.Timeout | undefined;
  const closeLater = () => {
    timer ??= setTimeout(() => {
      closeSocket(socket);
      closeSocket(upstream);
    }, HALF_CLOSED_TIMEOUT_MS);
  };
  for (const end of [socket, upstream]) {
    // Two pipelines add more listeners than Node's default limit of 10.
    end.setMaxListeners(20);
    end.once("close", () => socket.closed && upstream.closed && clearTimeout(timer));
  }
  pipeline(socket, upstream, closeLater);
  pipeline(upstream, socket, closeLater);
}
