import { readFileSync } from "node:fs";
import { hostname, networkInterfaces } from "node:os";
import { toUrlHost } from "./url-host";

/** The IPv4 address of the default route's interface, or another address of this machine; without a network the host name. */
function defaultRouteAddress(): string {
  const addresses = Object.entries(networkInterfaces()).flatMap(([name, list]) =>
    (list ?? []).filter(({ internal }) => !internal).map(({ address, family }) => ({ name, address, family })),
  );
  const ipv4 = addresses.filter(({ family }) => family === "IPv4");
  // A link-local address is valid only together with an interface of the other machine.
  const ipv6 = addresses.find(({ address, family }) => family === "IPv6" && !address.startsWith("fe80:"));
  const interfaceName = defaultRouteInterface();
  return (ipv4.find(({ name }) => name === interfaceName) ?? ipv4[0] ?? ipv6)?.address ?? hostname();
}

/** Addresses that mean all addresses of a machine, as URLs normalize them. */
const ALL_ADDRESSES = new Set(["0.0.0.0", "[::]"]);

/**
 * The address at which other machines reach a server.
 * @param boundAddress the address it listens on; null, 0.0.0.0 and :: mean all addresses
 */
export function reachableAddress(boundAddress: string | null): string {
  if (boundAddress === null) return defaultRouteAddress();
  const url = `http://${toUrlHost(boundAddress)}`;
  return URL.canParse(url) && ALL_ADDRESSES.has(new URL(url).hostname) ? defaultRouteAddress() : boundAddress;
}

function defaultRouteInterface(): string | undefined {
  try {
    const rows = readFileSync("/proc/net/route", "utf8").split("\n").slice(1);
    return rows.map((row) => row.split("\t")).find((columns) => columns[1] === "00000000")?.[0];
  } catch {
    return undefined; // not Linux: the caller takes the first external address
  }
}
