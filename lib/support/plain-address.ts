import { isIPv4 } from "node:net";

const MAPPED = "::ffff:";

/**
 * An address as people write it: IPv4 also where a socket for both families has it in the form of IPv6 (RFC 4291, section 2.5.5.2).
 * @param address of a socket or of X-Forwarded-For; undefined of a connection that is closed
 * @returns "" without an address
 */
export function plainAddress(address = ""): string {
  const rest = address.slice(MAPPED.length);
  return address.startsWith(MAPPED) && isIPv4(rest) ? rest : address;
}
