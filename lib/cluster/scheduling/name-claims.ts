import { randomUUID } from "node:crypto";
import { AppError } from "../../errors";
import type { FanOutResult } from "../rpc/fan-out";

interface Claim {
  /** random; of two claims for one name the smaller wins */
  id: string;
  state: "asking" | "lost" | "won";
}

/** The answer to a node that is about to start a container of a name. */
export interface NameAnswer {
  taken: boolean;
}

/**
 * Keeps each name unique in the whole pool, without a lock or a leader. A node creates its container, asks all other nodes whether the
 * name is taken, and starts the container only if it is not. Of two nodes that ask at the same time one loses its claim.
 * Implements `NameClaimer` of docker/create/runner.ts: docker/ and cluster/ may not import each other.
 */
export class NameClaims {
  private readonly claims = new Map<string, Claim>();

  /**
   * @param askPeers asks all nodes that can be reached
   * @param hasContainer whether this host has a container of that name: with `started` only one that was started counts
   * @param recheckAfterMs a pause between asking and starting (a frozen process) after which other nodes may have used the name
   */
  constructor(
    private readonly askPeers: (name: string, claim: string, late: boolean) => Promise<FanOutResult<NameAnswer>>,
    private readonly hasContainer: (name: string, started: boolean) => Promise<boolean>,
    private readonly recheckAfterMs = 500,
  ) {}

  /**
   * Claims a name, before the container is created.
   * @returns `confirm` must be called before the start, `recheck` after it and `close` at the end in any case; the first two throw
   *   AppError NAME_TAKEN if another node has the name
   * @throws AppError NAME_TAKEN if another request on this node has claimed it
   */
  open(name: string): { confirm: () => Promise<void>; recheck: () => Promise<void>; close: () => void } {
    if (this.claims.has(name)) throw nameTaken(name);
    const claim: Claim = { id: randomUUID(), state: "asking" };
    this.claims.set(name, claim);
    let askedAt = 0;
    return {
      confirm: () => {
        askedAt = performance.now();
        return this.confirm(name, claim);
      },
      recheck: () => (performance.now() - askedAt < this.recheckAfterMs ? Promise.resolve() : this.recheck(name, claim)),
      close: () => this.claims.delete(name),
    };
  }

  // A process that was frozen between asking and starting may find the name in use: then it must remove its own container.
  private async recheck(name: string, claim: Claim): Promise<void> {
    const { answers } = await this.askPeers(name, claim.id, true);
    const holder = answers.find(({ value }) => value.taken);
    if (holder) throw nameTaken(name, holder.node);
  }

  private async confirm(name: string, claim: Claim): Promise<void> {
    const { answers } = await this.askPeers(name, claim.id, false);
    const holder = answers.find(({ value }) => value.taken);
    // Another node may have won this claim while we awaited answers.
    if (holder || claim.state === "lost") throw nameTaken(name, holder?.node);
    claim.state = "won";
  }

  /**
   * Answers another node that asks for a name. May lose this node's own claim to it.
   * @param claim id of the other node's claim
   * @param late whether the other node has started its container already: then only a container that was started here counts
   */
  async answer(name: string, claim: string, late = false): Promise<NameAnswer> {
    const own = this.claims.get(name);
    if (late) return { taken: own?.state === "won" || (await this.hasContainer(name, true)) };
    if (!own) {
      const held = await this.hasContainer(name, false);
      // A claim of this node may have been opened meanwhile: the two must be compared, or both would lose.
      return held && this.claims.has(name) ? this.answer(name, claim) : { taken: held };
    }
    if (own.state === "won") return { taken: true };
    if (own.state === "asking" && own.id < claim) return { taken: true };
    own.state = "lost";
    // Our container is only created and will be removed. One that was started belongs to an earlier request.
    return { taken: await this.hasContainer(name, true) };
  }
}

function nameTaken(name: string, node?: string): AppError {
  return new AppError("NAME_TAKEN", {
    message: `The name ${name} is taken${node ? ` on ${node}` : ""}`,
    details: { name, ...(node ? { node } : {}) },
  });
}
