import type { Bid, Needs } from "./bid";
import type { Load } from "./load";
import { bindingsOf, collide, type PortBinding, portOf } from "./port-bindings";

/** What a host has, and what of it is in use. */
export interface Inventory {
  /** share of the memory reserved by running containers; can exceed 1 */
  reservedMemory: number;
  /** share of the cores reserved by running containers; can exceed 1 */
  reservedCpu: number;
  /** host ports in use */
  bindings: PortBinding[];
  hasImage: boolean;
  hasVolumes: boolean;
  /** of the networks that the run needs, one that isn't on the host */
  missingNetwork?: string;
  /** of the containers that the run joins, one that isn't on the host */
  missingContainer?: string;
  /** bytes */
  totalMemory: number;
  cores: number;
  /** what must be installed on the host first, for people */
  missingRequirement?: string;
}

export interface BidderDeps {
  /** this node's */
  nodeName: string;
  /** reads this host's inventory for one run */
  inventory: (needs: Needs) => Promise<Inventory>;
  /** this machine's load as last measured */
  load: () => Load;
  /** runs that this node takes at a time, of those that need a slot */
  slotCount: number;
}

/** After this time a placement counts half. */
const PLACEMENT_HALF_LIFE_MS = 20_000;

/** Makes this node's bids, and counts the runs it has accepted. */
export class Bidder {
  /** Whether this node takes new work. */
  accepting = true;
  private readonly acceptedRuns = new Set<Needs>();
  /** runs that occupy a slot or wait for one */
  private slotRuns = 0;
  /** recent placements, decayed up to `decayedAt` */
  private placements = 0;
  private decayedAt = performance.now();

  constructor(private readonly deps: BidderDeps) {}

  /** Never rejects: if the inventory can't be read, the bid declines with that reason. */
  async bid(needs: Needs): Promise<Bid> {
    const { nodeName, inventory: readInventory, load, slotCount } = this.deps;
    const { cpu, memory } = load();
    const slots = needs.slot ? { slots: { taken: this.slotRuns, size: slotCount } } : {};
    const common = { node: nodeName, cpu, memory, recent: this.decayedPlacements(), ...slots };
    try {
      const inventory = await readInventory(needs);
      const accepted = [...this.acceptedRuns];
      const reservedMemory = inventory.reservedMemory + sum(accepted, "memory") / inventory.totalMemory;
      const reservedCpu = inventory.reservedCpu + sum(accepted, "cpus") / inventory.cores;
      const { hasImage, hasVolumes } = inventory;
      const refusal = this.accepting
        ? refusalReason(needs, inventory, accepted, reservedMemory)
        : { declines: "it takes no new work", code: "NOT_ACCEPTING" };
      return { ...common, reservedMemory, reservedCpu, hasImage, hasVolumes, ...refusal };
    } catch (error) {
      return { ...common, reservedMemory: 0, reservedCpu: 0, hasImage: false, hasVolumes: false, declines: (error as Error).message };
    }
  }

  /**
   * Counts a run as this node's before the inventory shows its container.
   * @returns a function to call once the container has started or failed to
   */
  accept(needs: Needs): () => void {
    this.acceptedRuns.add(needs);
    this.placements = this.decayedPlacements() + 1;
    return () => this.acceptedRuns.delete(needs);
  }

  /**
   * Counts a run that needs a slot until its end.
   * @returns a function to call at its end
   */
  occupySlot(needs: Needs): () => void {
    if (!needs.slot) return () => undefined;
    this.slotRuns += 1;
    return () => {
      this.slotRuns -= 1;
    };
  }

  private decayedPlacements(): number {
    const now = performance.now();
    this.placements *= 0.5 ** ((now - this.decayedAt) / PLACEMENT_HALF_LIFE_MS);
    this.decayedAt = now;
    return this.placements;
  }
}

function refusalReason(needs: Needs, inventory: Inventory, accepted: Needs[], reservedMemory: number): Pick<Bid, "declines" | "code"> {
  if (inventory.missingRequirement !== undefined) return { declines: inventory.missingRequirement };
  const { missingNetwork, missingContainer } = inventory;
  if (missingContainer !== undefined) return { declines: `container ${missingContainer} is not here`, code: "CONTAINER_NOT_FOUND" };
  if (missingNetwork !== undefined) return { declines: `network ${missingNetwork} is not here`, code: "INVALID_SPEC" };
  const taken = [...inventory.bindings, ...accepted.flatMap(bindingsOf)];
  const refused = bindingsOf(needs).find((binding) => taken.some((other) => collide(binding, other)));
  if (refused !== undefined) return { declines: `port ${portOf(refused)} is taken`, code: "PORT_TAKEN" };
  // Containers may have limits of more memory than exists: a run that asks for none is not refused because of that.
  if (needs.memory > 0 && needs.memory / inventory.totalMemory + reservedMemory > 1)
    return { declines: "not enough memory is left unreserved" };
  if (needs.pull === "never" && !inventory.hasImage) return { declines: "the image is not here", code: "IMAGE_NOT_FOUND" };
  return {};
}

function sum(runs: Needs[], field: "memory" | "cpus"): number {
  return runs.reduce((total, each) => total + each[field], 0);
}
