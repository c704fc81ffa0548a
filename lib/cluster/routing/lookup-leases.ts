import type { Holding, LocalHost } from "../local-host";

/**
 * How long another node may rely on this node's answer to a lookup, unless it is notified. The length matters only if a notification
 * can't be delivered.
 */
export const LOOKUP_LEASE_MS = 30_000;
/** Leases in each half of the memory. Beyond that, answers come without a lease. */
const MAX_LEASES = 20_000;
/** Names are at most this long; an engine has no longer ones. */
const MAX_NAME_LENGTH = 300;

/**
 * The leases that other nodes hold on this node's answers to lookups: a holder is notified when a container gets a name that the holder
 * has looked up, so that it knows without asking again which node alone has the name.
 */
export class LookupLeases {
  /** By name: the holders. The leases since the last turn, and those of the turn before. */
  private current = new Map<string, Set<string>>();
  private previous = new Map<string, Set<string>>();
  private turnedAt = performance.now();
  private count = 0;

  /** @param notify notifies a node that this one may have a container of a name; of any name if undefined */
  constructor(private readonly notify: (node: string, name: string | undefined) => void) {}

  /**
   * Grants a lease. Call it before looking for the container, so that the node is notified of a name given in between.
   * @returns how long (ms) the answer stays valid, counted from when the node asked; undefined if there is no room for another lease
   */
  grant(node: string, name: string): number | undefined {
    this.turn();
    if (name.length > MAX_NAME_LENGTH || this.count >= MAX_LEASES) return undefined;
    const holders = this.current.get(name) ?? new Set();
    this.current.set(name, holders);
    if (!holders.has(node)) this.count += 1;
    holders.add(node);
    return LOOKUP_LEASE_MS;
  }

  /**
   * Notifies the holders that a container has got a name, and ends their leases on it.
   * @param name undefined: any name may have been given
   */
  notifyNamed(name: string | undefined): void {
    const nodes = new Set<string>();
    for (const half of [this.current, this.previous]) {
      for (const each of name === undefined ? [...half.keys()] : [name]) {
        for (const node of half.get(each) ?? []) nodes.add(node);
        half.delete(each);
      }
    }
    for (const node of nodes) this.notify(node, name);
  }

  /** A lease is kept for one or two times its length: dropping half of the memory at once costs nothing per lease. */
  private turn(): void {
    const now = performance.now();
    if (now - this.turnedAt < LOOKUP_LEASE_MS) return;
    this.previous = now - this.turnedAt < 2 * LOOKUP_LEASE_MS ? this.current : new Map();
    this.current = new Map();
    this.count = 0;
    this.turnedAt = now;
  }
}

/**
 * Looks for a container on this host.
 * @param leaseMs the lease granted before
 * @returns the answer, with its lease if every name given since the lease began is known of
 */
export async function findWithLease(
  host: LocalHost,
  id: string,
  labels: Readonly<Record<string, string>> | undefined,
  leaseMs: number | undefined,
): Promise<Holding & { lease?: number }> {
  const followed = host.followsNames();
  const { exact, prefix } = await host.find(id, labels);
  return { exact, prefix, ...(leaseMs !== undefined && followed && host.followsNames() ? { lease: leaseMs } : {}) };
}
