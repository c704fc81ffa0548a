import { spawnSync } from "node:child_process";

/** All addresses but those that begin with 0, which no route is for. */
const BEYOND = ["1.0.0.0/8", "2.0.0.0/7", "4.0.0.0/6", "8.0.0.0/5", "16.0.0.0/4", "32.0.0.0/3", "64.0.0.0/2", "128.0.0.0/1"];

/** The network of a bed's simulated hosts: one bridge of this machine, with host N at the Nth address. */
export class BedNetwork {
  readonly bridge: string;
  // The hosts reach each other and the machine's root namespace, and nothing beyond it.
  private readonly rules: string[][];

  /**
   * @param prefix what the names of its bridge, links and namespaces begin with; 9 characters at most
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
   * Makes host N's network: a namespace whose eth0 is connected to the bridge.
   * Throws an Error with what `ip` or `iptables` said.
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
    // Whatever is beyond the bed can't be reached: said at once, so that nobody waits for name servers where this machine forwards nothing.
    // The default route stays, as that of a real host: only its destination is 0.0.0.0.
    for (const beyond of BEYOND) ip("-n", netns, "route", "add", "unreachable", beyond);
  }

  /** Removes host N's network, as far as it is there. */
  removeHost(host: number): void {
    if (succeeds("ip", ["link", "show", this.linkName(host)])) ip("link", "del", this.linkName(host));
    if (succeeds("ip", ["netns", "pids", this.netnsName(host)])) ip("netns", "del", this.netnsName(host));
  }

  /** Pulls out (`down`) or plugs in (`up`) host N's network cable. */
  setLink(host: number, state: "up" | "down"): void {
    ip("link", "set", this.linkName(host), state);
  }

  /** Makes the bridge, the machine's own address on it and its packet filter rules, unless it is there. */
  addBridge(): void {
    if (succeeds("ip", ["link", "show", this.bridge])) return;
    // A bridge without an address of its own takes that of a host, and another one when that host goes.
    ip("link", "add", this.bridge, "address", macAddress(254), "type", "bridge", "forward_delay", "0");
    ip("addr", "add", `${this.rootAddress}/24`, "dev", this.bridge);
    ip("link", "set", this.bridge, "up");
    for (const rule of this.rules) command("iptables", ["--wait", "-I", ...rule]);
  }

  /** Removes the bridge and its packet filter rules, as far as they are there. */
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

// Always the same for an address: whoever remembers where an address was still finds it when its host is a new one.
const macAddress = (host: number) => `02:00:0a:00:00:${host.toString(16).padStart(2, "0")}`;

const ip = (...args: string[]) => command("ip", args);

const succeeds = (name: string, args: string[]) => inOwnSession(name, args).status === 0;

function command(name: string, args: string[]): void {
  const { status, stderr, error } = inOwnSession(name, args);
  if (error) throw error;
  if (status !== 0) throw new Error(`${name} ${args.join(" ")}: ${stderr.trim()}`);
}

/** A Ctrl-C at the terminal, meant for us, must not cut it short. */
const inOwnSession = (name: string, args: string[]) => spawnSync("setsid", ["--wait", name, ...args], { encoding: "utf8" });
