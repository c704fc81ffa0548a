import { readFileSync } from "node:fs";
import { hostname, networkInterfaces } from "node:os";

/** The IPv4 address of the default route's interface; without a network the host name. */
function defaultRouteAddress(): string {
  const addresses = Object.entries(networkInterfaces()).flatMap(([name, list]) =>
    (list ?? []).filter(({ family, internal }) => family === "IPv4" && !internal).map(({ address }) => ({ name, address })),
  );
  const interfaceName = defaultRouteInterface();
  return (addresses.find(({ name }) => name === interfaceName) ?? addresses[0])?.address ?? hostname();
}

/**
 * The address at which other machines reach a server.
 * @param boundAddress the address it listens on; null, 0.0.0.0 and :: mean all addresses
 */
export function reachableAddress(boundAddress: string | null): string {
  return boundAddress === null || boundAddress === "0.0.0.0" || boundAddress === "::" ? defaultRouteAddress() : boundAddress;
}

function defaultRouteInterface(): string | undefined {
  try {
    const rows = readFileSync("/proc/net/route", "utf8").split("\n").slice(1);
    return rows.map((row) => row.split("\t")).find((columns) => columns[1] === "00000000")?.[0];
  } catch {
    return undefined; // not Linux: the caller takes the first external address
  }
}
