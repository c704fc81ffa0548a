import { randomUUID } from "node:crypto";
import { AppError } from "../../errors";
import type { Gathered } from "../rpc/fan-out";

interface Claim {
  /** by chance; of two claims that meet the smaller wins */
  id: string;
  state: "asking" | "lost" | "won";
}

/** What a node says to another that is about to start a container of a name. */
export interface NameAnswer {
  taken: boolean;
}

/**
 * Keeps a name to one container in the whole pool, with no lock and no leader: create, ask, start. Each node asks all
 * others before it starts what it has created; of two that meet while asking one gives way.
 */
export class NameClaims {
  private readonly claims = new Map<string, Claim>();

  /**
   * @param askOthers puts the question to all nodes that can be reached
   * @param holds whether a container of that name is on this host: one that was started, or any
   * @param patience ms of this node's silence after which others may have gone on without it
   */
  constructor(
    private readonly askOthers: (name: string, claim: string, late: boolean) => Promise<Gathered<NameAnswer>>,
    private readonly holds: (name: string, started: boolean) => Promise<boolean>,
    private readonly patience = 500,
  ) {}

  /**
   * Opens a claim, before the container is created.
   * @returns confirm: to be called before the start; recheck: after it; close: at the end in any case
   * @throws AppError NAME_TAKEN if another request for the same name is under way here
   */
  open(name: string): { confirm: () => Promise<void>; recheck: () => Promise<void>; close: () => void } {
    if (this.claims.has(name)) throw taken(name);
    const claim: Claim = { id: randomUUID(), state: "asking" };
    this.claims.set(name, claim);
    let askedAt = 0;
    return {
      confirm: () => {
        askedAt = performance.now();
        return this.confirm(name, claim);
      },
      recheck: () => (performance.now() - askedAt < this.patience ? Promise.resolve() : this.recheck(name, claim)),
      close: () => this.claims.delete(name),
    };
  }

  // Whoever stood still between the question and the start may find its work done elsewhere, and gives way to it.
  private async recheck(name: string, claim: Claim): Promise<void> {
    const { answers } = await this.askOthers(name, claim.id, true);
    const holder = answers.find(({ value }) => value.taken);
    if (holder) throw taken(name, holder.node);
  }

  private async confirm(name: string, claim: Claim): Promise<void> {
    const { answers } = await this.askOthers(name, claim.id, false);
    const holder = answers.find(({ value }) => value.taken);
    // While the others answered, one of them may have been given way to.
    if (holder || claim.state === "lost") throw taken(name, holder?.node);
    claim.state = "won";
  }

  /**
   * Answers another node's question; may give up this node's own claim.
   * @param claim the other's
   * @param late the other has started already: only what is started here counts
   */
  async answer(name: string, claim: string, late = false): Promise<NameAnswer> {
    const own = this.claims.get(name);
    if (late) return { taken: own?.state === "won" || (await this.holds(name, true)) };
    if (!own) {
      const held = await this.holds(name, false);
      // What was created meanwhile is this node's own claim: the two are compared, or both would give way.
      return held && this.claims.has(name) ? this.answer(name, claim) : { taken: held };
    }
    if (own.state === "won") return { taken: true };
    if (own.state === "asking" && own.id < claim) return { taken: true };
    own.state = "lost";
    // It gives way with what it has created. One that is started is another's, from before.
    return { taken: await this.holds(name, true) };
  }
}

function taken(name: string, node?: string): AppError {
  return new AppError("NAME_TAKEN", {
    message: `The name ${name} is taken${node ? ` on ${node}` : ""}`,
    details: { name, ...(node ? { node } : {}) },
  });
}
