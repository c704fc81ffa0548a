import { spawnSync } from "node:child_process";

/** All IPv4 addresses except 0.0.0.0/8, for which the kernel takes no route. */
const UNREACHABLE_RANGES = ["1.0.0.0/8", "2.0.0.0/7", "4.0.0.0/6", "8.0.0.0/5", "16.0.0.0/4", "32.0.0.0/3", "64.0.0.0/2", "128.0.0.0/1"];

/** The network of a bed's simulated hosts: one bridge of this machine, with host N at the Nth address. */
export class BedNetwork {
  readonly bridge: string;
  // The hosts reach each other and the machine's root namespace, and nothing else.
  private readonly rules: string[][];

  /**
   * @param prefix of the names of its bridge, links and namespaces; 9 characters at most
   * @param net the first three numbers of its addresses, for instance 10.99.0
   */
  constructor(
    private readonly prefix: string,
    private readonly net: string,
  ) {
    this.bridge = `${prefix}0`;
    this.rules = [
      ["INPUT", "-i", this.bridge, "-j", "ACCEPT"],
      ["FORWARD", "-i", this.bridge, "!", "-o", this.bridge, "-j", "REJECT"],
      ["FORWARD", "-i", this.bridge, "-o", this.bridge, "-j", "ACCEPT"],
    ];
  }

  get subnet(): string {
    return `${this.net}.0/24`;
  }

  /** The address of the machine itself (its root namespace) on that network. */
  get rootAddress(): string {
    return `${this.net}.254`;
  }

  /** The address of host N. */
  hostAddress(host: number): string {
    return `${this.net}.${host}`;
  }

  /** The file of host N's network namespace, as `nsenter --net=` takes it. */
  netnsFile(host: number): string {
    return `/run/netns/${this.netnsName(host)}`;
  }

  /**
   * Creates host N's network: a namespace whose eth0 is connected to the bridge.
   * Throws an Error with the message of `ip` or `iptables`.
   */
  addHost(host: number): void {
    const netns = this.netnsName(host);
    const link = this.linkName(host);
    ip("netns", "add", netns);
    ip("link", "add", link, "type", "veth", "peer", "name", "eth0", "address", macAddress(host), "netns", netns);
    ip("link", "set", link, "master", this.bridge, "up");
    ip("-n", netns, "link", "set", "lo", "up");
    ip("-n", netns, "addr", "add", `${this.hostAddress(host)}/24`, "dev", "eth0");
    ip("-n", netns, "link", "set", "eth0", "up");
    ip("-n", netns, "route", "add", "default", "via", this.rootAddress);
    // Addresses outside the bed are unreachable. The routes make connections fail at once instead of timing out, for instance to name servers.
    // The default route stays, because a real host has one.
    for (const range of UNREACHABLE_RANGES) ip("-n", netns, "route", "add", "unreachable", range);
  }

  /** Removes the parts of host N's network that exist. */
  removeHost(host: number): void {
    if (succeeds("ip", ["link", "show", this.linkName(host)])) ip("link", "del", this.linkName(host));
    if (succeeds("ip", ["netns", "pids", this.netnsName(host)])) ip("netns", "del", this.netnsName(host));
  }

  /** Disconnects (`down`) or connects (`up`) host N's network. */
  setLink(host: number, state: "up" | "down"): void {
    ip("link", "set", this.linkName(host), state);
  }

  /** Creates the bridge, the machine's own address on it and its packet filter rules, unless the bridge exists. */
  addBridge(): void {
    if (succeeds("ip", ["link", "show", this.bridge])) return;
    // A bridge without its own MAC address takes that of a host, and changes it when that host is removed.
    ip("link", "add", this.bridge, "address", macAddress(254), "type", "bridge", "forward_delay", "0");
    ip("addr", "add", `${this.rootAddress}/24`, "dev", this.bridge);
    ip("link", "set", this.bridge, "up");
    for (const rule of this.rules) command("iptables", ["--wait", "-I", ...rule]);
  }

  /** Removes the bridge and its packet filter rules, if they exist. */
  removeBridge(): void {
    for (const rule of this.rules) {
      if (succeeds("iptables", ["--wait", "-C", ...rule])) command("iptables", ["--wait", "-D", ...rule]);
    }
    if (succeeds("ip", ["link", "show", this.bridge])) ip("link", "del", this.bridge);
  }

  private netnsName(host: number): string {
    return `${this.prefix}-${host}`;
  }

  private linkName(host: number): string {
    return `${this.prefix}-v${host}`;
  }
}

// Derived from the host's number, so that ARP caches stay valid when a new host takes the address of a removed one.
const macAddress = (host: number) => `02:00:0a:00:00:${host.toString(16).padStart(2, "0")}`;

const ip = (...args: string[]) => command("ip", args);

const succeeds = (name: string, args: string[]) => inOwnSession(name, args).status === 0;

function command(name: string, args: string[]): void {
  const { status, stderr, error } = inOwnSession(name, args);
  if (error) throw error;
  if (status !== 0) throw new Error(`${name} ${args.join(" ")}: ${stderr.trim()}`);
}

/** Runs a command in its own session, so that a Ctrl-C at the terminal doesn't interrupt it. */
const inOwnSession = (name: string, args: string[]) => spawnSync("setsid", ["--wait", name, ...args], { encoding: "utf8" });
