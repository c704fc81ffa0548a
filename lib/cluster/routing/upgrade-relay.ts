import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import { pipeBoth } from "../../support/pipe-both";
import type { UpgradeOffer } from "../../support/reply";

/**
 * Passes another server's 101 to the client, and from then on the bytes of both directions.
 * @param offer the client's offer of an upgrade
 * @param accepted the other server's 101, whose socket is the connection
 */
export function relayUpgrade(offer: UpgradeOffer, accepted: IncomingMessage): void {
  const peerSocket: Duplex = accepted.socket;
  if (!offer.socket.destroyed && !peerSocket.destroyed) offer.socket.write(headOf(accepted), "latin1");
  pipeBoth(offer, peerSocket, (socket) => socket.destroy());
}

function headOf({ rawHeaders }: IncomingMessage): string {
  const lines = ["HTTP/1.1 101 Switching Protocols"];
  for (let index = 0; index < rawHeaders.length; index += 2) lines.push(`${rawHeaders[index]}: ${rawHeaders[index + 1]}`);
  return `${lines.join("\r\n")}\r\n\r\n`;
}
