import { randomUUID } from "node:crypto";
import { nameTaken } from "../../errors";
import type { ContainerList } from "../containers/container-list";

interface Claim {
  /** random; of two claims for one name the smaller wins */
  id: string;
  /** While its node looks whether it has a container of the name already, a claim counts for nothing. */
  state: "looking" | "asking" | "lost" | "won";
}

/** The answer to a node that is about to start a container of a name. */
export interface NameAnswer {
  taken: boolean;
}

/** What `whileClaimed` gives to the work that makes a container of a claimed name. */
export interface NameClaim {
  /** To be called once the container is created, before its start. @throws AppError NAME_TAKEN if another node has the name */
  confirm(): Promise<void>;
  /** To be called after the start. @throws AppError NAME_TAKEN as `confirm` */
  recheck(): Promise<void>;
}

/**
 * Keeps each name unique in the whole pool, without a lock or a leader. A node creates its container, asks all other nodes whether the
 * name is taken, and starts the container only if it is not. Of two nodes that ask at the same time one loses its claim.
 */
export class NameClaims {
  /** Asks all other nodes that can be reached; replaced in a cluster. @param late see `answer` */
  askOthers: (name: string, claim: string, late: boolean) => Promise<{ answers: { node: string; value: NameAnswer }[] }> = async () => ({
    answers: [],
  });
  private readonly claims = new Map<string, Claim>();

  /** @param recheckAfterMs a pause between asking and starting (a frozen process) after which other nodes may have used the name */
  constructor(
    private readonly list: Pick<ContainerList, "assertFree" | "findMatches">,
    private readonly recheckAfterMs = 500,
  ) {}

  /** Whether a request on this node is making a container of that name. */
  isClaimed(name: string): boolean {
    return this.claims.has(name);
  }

  /**
   * Claims the name, or the alias, of a container while `work` makes the container.
   * @throws AppError NAME_TAKEN if this node has a container of the name, or another request on it has claimed the name
   */
  whileClaimed<T>(name: string, work: (claim: NameClaim) => Promise<T>): Promise<T> {
    // Any container of the name that this node has later is made for this claim.
    return this.whileClaimedAfter(() => this.list.assertFree(name), name, work);
  }

  /**
   * Claims the name of a network or a volume while `work` makes it. `work` must look itself whether any node has the name.
   * @throws AppError NAME_TAKEN if another request on this node has claimed the name
   */
  whileKindClaimed<T>(kind: "network" | "volume", name: string, work: (claim: NameClaim) => Promise<T>): Promise<T> {
    // A colon can't be in a container's name: networks and volumes have names of their own.
    return this.whileClaimedAfter(async () => undefined, `${kind}:${name}`, work);
  }

  private async whileClaimedAfter<T>(look: () => Promise<void>, name: string, work: (claim: NameClaim) => Promise<T>): Promise<T> {
    if (this.isClaimed(name)) throw nameTaken(name);
    const claim: Claim = { id: randomUUID(), state: "looking" };
    this.claims.set(name, claim);
    try {
      await look();
      claim.state = "asking";
      let askedAt = 0;
      return await work({
        confirm: () => {
          askedAt = performance.now();
          return this.confirm(name, claim);
        },
        recheck: () => (performance.now() - askedAt < this.recheckAfterMs ? Promise.resolve() : this.recheck(name, claim)),
      });
    } finally {
      this.claims.delete(name);
    }
  }

  // A process that was frozen between asking and starting may find the name in use: then it must remove its own container.
  private async recheck(name: string, claim: Claim): Promise<void> {
    const { answers } = await this.askOthers(name, claim.id, true);
    const holder = answers.find(({ value }) => value.taken);
    if (holder) throw nameTaken(name, holder.node);
  }

  private async confirm(name: string, claim: Claim): Promise<void> {
    const { answers } = await this.askOthers(name, claim.id, false);
    const holder = answers.find(({ value }) => value.taken);
    // Another node may have won this claim while we awaited answers.
    if (holder || claim.state === "lost") throw nameTaken(name, holder?.node);
    claim.state = "won";
  }

  /**
   * Answers another node that asks for a name. May lose this node's own claim to it.
   * @param claim id of the other node's claim
   * @param late whether the other node has started its container already: then a claim that is not won gives way
   */
  async answer(name: string, claim: string, late = false): Promise<NameAnswer> {
    const own = this.claims.get(name);
    if (!own || own.state === "looking") {
      const held = (await this.list.findMatches(name)).exact.length > 0;
      // A claim of this node may have come so far meanwhile: the two must be compared, or both would lose.
      const { state = "looking" } = this.claims.get(name) ?? {};
      return held && state !== "looking" ? this.answer(name, claim, late) : { taken: held };
    }
    if (own.state === "won") return { taken: true };
    // Our container is only created, and will be removed.
    if (late) return { taken: false };
    if (own.state === "asking" && own.id < claim) return { taken: true };
    own.state = "lost";
    return { taken: false };
  }
}
