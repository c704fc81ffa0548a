import net from "node:net";
import type { Duplex } from "node:stream";
import tls from "node:tls";

/** Ends a connection so that the other end can't take it for a good end. */
export function resetConnection(socket: Duplex): void {
  // Without its own farewell, an end of TLS is none either.
  if (socket instanceof net.Socket && !(socket instanceof tls.TLSSocket) && !socket.destroyed) socket.resetAndDestroy();
  else socket.destroy();
}
