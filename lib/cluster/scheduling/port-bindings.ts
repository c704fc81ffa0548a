import { isIPv6 } from "node:net";
import type { Needs } from "./bid";

/** A host port at an address, as address:port/protocol. No address means all; 0.0.0.0 and :: mean all of their family. */
export type PortBinding = string;

/** The bindings that a run asks for. Nodes of earlier versions send the ports alone. */
export function bindingsOf({ bindings, ports }: Pick<Needs, "bindings" | "ports">): PortBinding[] {
  return bindings ?? ports.map((port) => `:${port}`);
}

/** The port and protocol of a binding. */
export function portOf(binding: PortBinding): string {
  return binding.slice(binding.lastIndexOf(":") + 1);
}

/** Whether two containers can't have both of these bindings. */
export function collide(first: PortBinding, second: PortBinding): boolean {
  if (portOf(first) !== portOf(second)) return false;
  const [one, other] = [addressOf(first), addressOf(second)] as [string, string];
  if (one === other || one === "" || other === "") return true;
  return isIPv6(one) === isIPv6(other) && [one, other].some((address) => address === "0.0.0.0" || address === "::");
}

function addressOf(binding: PortBinding): string {
  return binding.slice(0, binding.lastIndexOf(":")).replace(/^\[|\]$/g, "");
}
