import net from "node:net";
import { type Duplex, pipeline } from "node:stream";
import tls from "node:tls";

/** So long (ms) one end of a connection may go on when the other has ended. */
const LAST_WORDS = 5000;

/** Ends a connection so that the other end can't take it for a good end. */
export function cut(socket: Duplex): void {
  // Without its own farewell, an end of TLS is none either.
  if (socket instanceof net.Socket && !(socket instanceof tls.TLSSocket) && !socket.destroyed) socket.resetAndDestroy();
  else socket.destroy();
}

/** Passes bytes both ways, as fast as the slower one takes them in. The end of one is the end of the other. */
export function join({ socket, head }: { socket: Duplex; head: Buffer }, far: Duplex): void {
  if (socket.destroyed || far.destroyed) {
    socket.destroy();
    far.destroy();
    return;
  }
  if (head.length > 0) socket.unshift(head);
  let timer: NodeJS.Timeout | undefined;
  const over = () => {
    timer ??= setTimeout(() => {
      cut(socket);
      cut(far);
    }, LAST_WORDS);
  };
  for (const end of [socket, far]) end.once("close", () => socket.closed && far.closed && clearTimeout(timer));
  pipeline(socket, far, over);
  pipeline(far, socket, over);
}
