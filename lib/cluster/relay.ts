import type { IncomingMessage } from "node:http";
import { type Duplex, pipeline } from "node:stream";
import type { Upgradable } from "../support/reply";

/** So long (ms) one end of a connection may go on when the other has ended. */
const LAST_WORDS = 5000;

/**
 * Passes on another server's 101, and from then on the bytes of both sides, as fast as the slower one takes them in. The end of
 * one is the end of the other.
 * @param client who has offered the upgrade
 * @param accepted the answer; its socket is the connection
 */
export function relay({ socket, head }: Upgradable, accepted: IncomingMessage): void {
  const far: Duplex = accepted.socket;
  if (socket.destroyed || far.destroyed) {
    socket.destroy();
    far.destroy();
    return;
  }
  if (head.length > 0) socket.unshift(head);
  socket.write(headOf(accepted), "latin1");
  let timer: NodeJS.Timeout | undefined;
  const over = () => {
    timer ??= setTimeout(() => {
      socket.destroy();
      far.destroy();
    }, LAST_WORDS);
  };
  for (const end of [socket, far]) {
    // Two pipelines listen to each.
    end.setMaxListeners(20);
    end.once("close", () => socket.closed && far.closed && clearTimeout(timer));
  }
  pipeline(socket, far, over);
  pipeline(far, socket, over);
}

function headOf({ rawHeaders }: IncomingMessage): string {
  const lines = ["HTTP/1.1 101 Switching Protocols"];
  for (let at = 0; at < rawHeaders.length; at += 2) lines.push(`${rawHeaders[at]}: ${rawHeaders[at + 1]}`);
  return `${lines.join("\r\n")}\r\n\r\n`;
}
