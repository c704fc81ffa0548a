import { spawnSync } from "node:child_process";

const BRIDGE = "dsbed0";

/** The network of the simulated hosts; host N has the address 10.99.0.N. */
export const SUBNET = "10.99.0.0/24";

/** The address of the machine itself (its root namespace) on that network. */
export const ROOT_ADDRESS = "10.99.0.254";

/** The address of host N. */
export const hostAddress = (host: number) => `10.99.0.${host}`;

/** The file of host N's network namespace, as `nsenter --net=` takes it. */
export const netnsFile = (host: number) => `/run/netns/${netnsName(host)}`;

const netnsName = (host: number) => `dsbed-${host}`;
const linkName = (host: number) => `dsbed-v${host}`;
// Always the same for an address: whoever remembers where an address was still finds it when its host is a new one.
const macAddress = (host: number) => `02:00:0a:63:00:${host.toString(16).padStart(2, "0")}`;

// The hosts reach each other and the machine's root namespace, and nothing beyond it.
const RULES = [
  ["INPUT", "-i", BRIDGE, "-j", "ACCEPT"],
  ["FORWARD", "-i", BRIDGE, "!", "-o", BRIDGE, "-j", "REJECT"],
  ["FORWARD", "-i", BRIDGE, "-o", BRIDGE, "-j", "ACCEPT"],
];

/**
 * Makes host N's network: a namespace whose eth0 is connected to the bridge.
 * Throws an Error with what `ip` or `iptables` said.
 */
export function addHost(host: number): void {
  const netns = netnsName(host);
  ip("netns", "add", netns);
  ip("link", "add", linkName(host), "type", "veth", "peer", "name", "eth0", "address", macAddress(host), "netns", netns);
  ip("link", "set", linkName(host), "master", BRIDGE, "up");
  ip("-n", netns, "link", "set", "lo", "up");
  ip("-n", netns, "addr", "add", `${hostAddress(host)}/24`, "dev", "eth0");
  ip("-n", netns, "link", "set", "eth0", "up");
  ip("-n", netns, "route", "add", "default", "via", ROOT_ADDRESS);
}

/** Removes host N's network, as far as it is there. */
export function removeHost(host: number): void {
  if (succeeds("ip", ["link", "show", linkName(host)])) ip("link", "del", linkName(host));
  if (succeeds("ip", ["netns", "pids", netnsName(host)])) ip("netns", "del", netnsName(host));
}

/** Pulls out (`down`) or plugs in (`up`) host N's network cable. */
export function setLink(host: number, state: "up" | "down"): void {
  ip("link", "set", linkName(host), state);
}

/** Makes the bridge, the machine's own address on it and its packet filter rules, unless it is there. */
export function addBridge(): void {
  if (succeeds("ip", ["link", "show", BRIDGE])) return;
  // A bridge without an address of its own takes that of a host, and another one when that host goes.
  ip("link", "add", BRIDGE, "address", macAddress(254), "type", "bridge", "forward_delay", "0");
  ip("addr", "add", `${ROOT_ADDRESS}/24`, "dev", BRIDGE);
  ip("link", "set", BRIDGE, "up");
  for (const rule of RULES) command("iptables", ["--wait", "-I", ...rule]);
}

/** Removes the bridge and its packet filter rules, as far as they are there. */
export function removeBridge(): void {
  for (const rule of RULES) {
    if (succeeds("iptables", ["--wait", "-C", ...rule])) command("iptables", ["--wait", "-D", ...rule]);
  }
  if (succeeds("ip", ["link", "show", BRIDGE])) ip("link", "del", BRIDGE);
}

const ip = (...args: string[]) => command("ip", args);

const succeeds = (name: string, args: string[]) => spawnSync(name, args).status === 0;

function command(name: string, args: string[]): void {
  const { status, stderr, error } = spawnSync(name, args, { encoding: "utf8" });
  if (error) throw error;
  if (status !== 0) throw new Error(`${name} ${args.join(" ")}: ${stderr.trim()}`);
}
