import type { Load } from "./load";
import type { Bid, Needs } from "./scoring";

/** What a host has and has given away, as its Docker room tells. */
export interface Inventory {
  /** share of memory and cores that running containers have reserved, 0 to 1 or more */
  reservedMemory: number;
  reservedCpu: number;
  /** host ports in use, as port/protocol */
  ports: ReadonlySet<string>;
  hasImage: boolean;
  hasVolumes: boolean;
  /** bytes */
  totalMemory: number;
  cores: number;
  /** what must be installed first, for people */
  lacks?: string;
}

/** After so long (ms) a placement counts for a half. */
const HALF_LIFE = 20_000;

/** Answers when this node is asked to take a run, and counts what it has taken. */
export class Bidder {
  private readonly accepted = new Set<Needs>();
  /** runs that have a slot or wait for one */
  private runs = 0;
  private recent = 0;
  private recentAt = performance.now();

  /**
   * @param node this one's name
   * @param inventory of this host, for one run's needs
   * @param load of this machine as last measured
   * @param slots runs that this node takes at a time, of those that need one
   */
  constructor(
    private readonly node: string,
    private readonly inventory: (needs: Needs) => Promise<Inventory>,
    private readonly load: () => Load,
    private readonly slots: number,
  ) {}

  /** What this node says to a run. Never throws: what stands in its way is a reason to decline. */
  async bid(needs: Needs): Promise<Bid> {
    const { cpu, memory } = this.load();
    const slots = needs.slot ? { slots: { taken: this.runs, size: this.slots } } : {};
    const said = { node: this.node, cpu, memory, recent: this.fading(), ...slots };
    try {
      const inventory = await this.inventory(needs);
      const pending = [...this.accepted];
      const reservedMemory = inventory.reservedMemory + sum(pending, "memory") / inventory.totalMemory;
      const reservedCpu = inventory.reservedCpu + sum(pending, "cpus") / inventory.cores;
      const { hasImage, hasVolumes } = inventory;
      const refusal = refusalReason(needs, inventory, pending, reservedMemory);
      return { ...said, reservedMemory, reservedCpu, hasImage, hasVolumes, ...refusal };
    } catch (error) {
      return { ...said, reservedMemory: 0, reservedCpu: 0, hasImage: false, hasVolumes: false, declines: (error as Error).message };
    }
  }

  /**
   * Counts a run as this node's from now on.
   * @returns to be called when its container has started, and so shows by itself, or has not
   */
  accept(needs: Needs): () => void {
    this.accepted.add(needs);
    this.recent = this.fading() + 1;
    return () => this.accepted.delete(needs);
  }

  /**
   * Counts a run among those that need a slot, from now until its end.
   * @returns to be called at its end
   */
  begin(needs: Needs): () => void {
    if (!needs.slot) return () => undefined;
    this.runs += 1;
    return () => {
      this.runs -= 1;
    };
  }

  private fading(): number {
    const now = performance.now();
    this.recent *= 0.5 ** ((now - this.recentAt) / HALF_LIFE);
    this.recentAt = now;
    return this.recent;
  }
}

function refusalReason(needs: Needs, inventory: Inventory, pending: Needs[], reservedMemory: number): Pick<Bid, "declines" | "code"> {
  if (inventory.lacks !== undefined) return { declines: inventory.lacks };
  const port = needs.ports.find((each) => inventory.ports.has(each) || pending.some((other) => other.ports.includes(each)));
  if (port) return { declines: `port ${port} is taken`, code: "PORT_TAKEN" };
  // Limits may promise more than there is: who asks for none isn't refused for it.
  if (needs.memory > 0 && needs.memory / inventory.totalMemory + reservedMemory > 1)
    return { declines: "not enough memory is left unreserved" };
  if (needs.pull === "never" && !inventory.hasImage) return { declines: "the image is not here", code: "IMAGE_NOT_FOUND" };
  return {};
}

function sum(needs: Needs[], field: "memory" | "cpus"): number {
  return needs.reduce((total, each) => total + each[field], 0);
}
