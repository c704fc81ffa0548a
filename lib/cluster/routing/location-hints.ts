import { LRUCache } from "lru-cache";
import type { MissingNode } from "../rpc/fan-out";

/** The one node that has a container of a name, as an earlier lookup in the whole pool found. */
export interface LocationHint {
  node: string;
  /** whether it was found by the alias of a managed container, which engines don't know */
  isAlias: boolean;
  /** nodes that could not be asked then, and have not answered since */
  missing: MissingNode[];
}

/** Clients that see different containers of one name are few; tokens derived from one another are not. */
const MAX_CLIENTS_PER_NAME = 16;

/**
 * Where containers are, by the name or full id that clients ask for. A hint is kept only while all other nodes have promised to tell of a
 * container of that name (`LookupLeases`), so that a lookup with a hint finds what one in the whole pool would.
 */
export class LocationHints {
  private readonly hints = new LRUCache<string, Map<string, LocationHint & { validUntil: number }>>({ max: 10_000 });
  /** Number of calls of `forget`. */
  private changes = 0;
  private readonly keptFrom: number;

  /** @param delayMs hints are kept only after this time */
  constructor(delayMs = 0) {
    this.keptFrom = performance.now() + delayMs;
  }

  /** @param clientKey `Access.key` of the client: others may see other containers */
  get(name: string, clientKey: string): LocationHint | undefined {
    const hint = this.hints.get(name)?.get(clientKey);
    return hint && performance.now() < hint.validUntil ? hint : undefined;
  }

  /**
   * To be called before all nodes are asked.
   * @returns keeps a hint for `leaseMs` from now, unless a change has been reported meanwhile: a report can overtake the answers
   */
  prepare(name: string, clientKey: string): (hint: LocationHint, leaseMs: number) => void {
    const { changes } = this;
    const askedAt = performance.now();
    return (hint, leaseMs) => {
      if (changes !== this.changes || askedAt < this.keptFrom) return;
      const ofName = this.hints.get(name) ?? new Map();
      if (ofName.size >= MAX_CLIENTS_PER_NAME) ofName.clear();
      ofName.set(clientKey, { ...hint, validUntil: askedAt + leaseMs });
      this.hints.set(name, ofName);
    };
  }

  /**
   * Drops the hints of a name, because another node may have it now.
   * @param name undefined: of all names, because other nodes than before may have to be asked
   */
  forget(name?: string): void {
    this.changes += 1;
    if (name === undefined) this.hints.clear();
    else this.hints.delete(name);
  }
}
