import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import { pipeBoth } from "../../support/pipe-both";
import type { Upgradable } from "../../support/reply";

/**
 * Passes on another server's 101, and from then on the bytes of both sides, as fast as the slower one takes them in. The end of
 * one is the end of the other.
 * @param client who has offered the upgrade
 * @param accepted the answer; its socket is the connection
 */
export function relay({ socket, head }: Upgradable, accepted: IncomingMessage): void {
  const far: Duplex = accepted.socket;
  if (!socket.destroyed && !far.destroyed) socket.write(headOf(accepted), "latin1");
  pipeBoth({ socket, head }, far, (each) => each.destroy());
}

function headOf({ rawHeaders }: IncomingMessage): string {
  const lines = ["HTTP/1.1 101 Switching Protocols"];
  for (let at = 0; at < rawHeaders.length; at += 2) lines.push(`${rawHeaders[at]}: ${rawHeaders[at + 1]}`);
  return `${lines.join("\r\n")}\r\n\r\n`;
}
