import { readFileSync } from "node:fs";
import { hostname, networkInterfaces } from "node:os";

/** The IPv4 address of the interface of the default route; the host's name where there is none. */
function defaultRouteAddress(): string {
  const addresses = Object.entries(networkInterfaces()).flatMap(([name, list]) =>
    (list ?? []).filter((each) => each.family === "IPv4" && !each.internal).map((each) => ({ name, address: each.address })),
  );
  const route = defaultRouteInterface();
  return (addresses.find((each) => each.name === route) ?? addresses[0])?.address ?? hostname();
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
    return undefined; // not Linux: the first outside address will do
  }
}
