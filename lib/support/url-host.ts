import { isIPv6 } from "node:net";

/** An address or a host name as it is written in a URL and in the Host header: IPv6 in brackets, without its zone. */
export function toUrlHost(host: string): string {
  const [address = ""] = host.split("%");
  return isIPv6(address) ? `[${address}]` : host;
}

/** The address or host name of a URL's `hostname`, as sockets take it: IPv6 without brackets. */
export function fromUrlHost(hostname: string): string {
  return hostname.replace(/^\[|\]$/g, "");
}
