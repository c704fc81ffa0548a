import { type Duplex, pipeline } from "node:stream";

/** So long (ms) one end of a connection may go on when the other has ended. */
const LAST_WORDS = 5000;

/**
 * Passes bytes both ways, as fast as the slower one takes them in. The end of one is the end of the other.
 * The first is a connection and the bytes of it that were read already.
 * @param end ends a connection whose other end has been gone for too long
 */
export function pipeBoth({ socket, head }: { socket: Duplex; head: Buffer }, far: Duplex, end: (socket: Duplex) => void): void {
  if (socket.destroyed || far.destroyed) {
    socket.destroy();
    far.destroy();
    return;
  }
  if (head.length > 0) socket.unshift(head);
  let timer: NodeJS.Timeout | undefined;
  const over = () => {
    timer ??= setTimeout(() => {
      end(socket);
      end(far);
    }, LAST_WORDS);
  };
  for (const each of [socket, far]) {
    // Two pipelines listen to each.
    each.setMaxListeners(20);
    each.once("close", () => socket.closed && far.closed && clearTimeout(timer));
  }
  pipeline(socket, far, over);
  pipeline(far, socket, over);
}
