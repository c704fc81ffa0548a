import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { isDeepStrictEqual } from "node:util";
import type { Access } from "../../access/access";
import { decideQuota, type Max, maxUse, NO_USE, type NodeUse, subtractUse, sumUse, totalUse, type Use } from "../../access/quota";
import { AppError } from "../../errors";
import type { Confinement, ConfiningLabels } from "../containers/confinement";
import type { ContainerList, ContainerSummary } from "../containers/container-list";
import { CUID_LABEL, replacedName } from "../containers/replaced-name";
import type { HostInventory } from "../host-inventory";
import { isRunContainer } from "./policy-guard";

/** A claim waits so long for later ones to give way. */
const SETTLE_MS = 10_000;
const ASK_AGAIN_MS = 50;
/** Greater than every other claim: gives way to all. */
const LAST_CLAIM = "~";

/** A container of this process that is created, or becomes larger, and does not count as settled yet. */
interface Claim {
  id: string;
  /** its name or id */
  container: string;
  /** what counts as settled already */
  before: Use;
  /** what it will use at least */
  wants: Use;
  isPending: boolean;
}

/** The answers of the other nodes to how much certain labels use there. */
export interface UseOfOthers {
  answers: { node: string; value: NodeUse }[];
  missing: { node: string; reason: string }[];
}

/** The use of one quota of a token, for people. */
export interface QuotaUse {
  labels: ConfiningLabels;
  max: Max;
  /** on the nodes that answer */
  used: Use;
  missing?: string[];
}

export interface QuotaClaim {
  /**
   * To be called when the container is created and before it is started.
   * @throws AppError REFUSED_BY_TOKEN max; NODES_MISSING if a node can't be asked
   */
  confirm(): Promise<void>;
  /** To be called when the container is started, or removed again. */
  close(): void;
}

const NO_CLAIM: QuotaClaim = { confirm: async () => undefined, close: () => undefined };

/**
 * Keeps what a token's labels use in the whole pool within its `max`, without a lock or a leader. A node creates a container, asks all
 * nodes what exists, and starts it only if everything fits (`decideQuota`). Stopped containers count: the engine may start them by itself.
 */
export class Quotas {
  /** Asks all other nodes; replaced in a cluster. */
  askOthers: (labels: ConfiningLabels) => Promise<UseOfOthers> = async () => ({ answers: [], missing: [] });
  private readonly claims = new Set<Claim>();
  /** For each count under way: a container that was refused while it is counted must not count as settled. */
  private readonly endedDuringCounts = new Set<Claim[]>();

  /** @param nodeName this node's */
  constructor(
    private readonly nodeName: string,
    private readonly list: Pick<ContainerList, "readFiltered">,
    private readonly confinement: Pick<Confinement, "filterCounted">,
    private readonly inventory: Pick<HostInventory, "usableBy" | "usableWithin">,
    private readonly askAgainMs = ASK_AGAIN_MS,
  ) {}

  /** What the containers of this host with these labels use. */
  async count(labels: ConfiningLabels): Promise<NodeUse> {
    const ended: Claim[] = [];
    this.endedDuringCounts.add(ended);
    try {
      return await this.countKnowing(labels, ended);
    } finally {
      this.endedDuringCounts.delete(ended);
    }
  }

  /** @param ended the claims that have ended since, whose containers may still be among those that are read here */
  private async countKnowing(labels: ConfiningLabels, ended: readonly Claim[]): Promise<NodeUse> {
    const filters = { label: Object.entries(labels).map(([key, value]) => `${key}=${value}`) };
    const found = await this.confinement.filterCounted(await this.list.readFiltered(filters), labels);
    const containers = found.filter(({ state }) => state !== "removing" && state !== "dead");
    const uses = await Promise.all(containers.map((each) => this.useOf(each)));
    const byName = new Map<string, { ids: string[]; use: Use }>();
    for (const [index, container] of containers.entries()) {
      const name = nameOf(container);
      const { ids, use } = byName.get(name) ?? { ids: [], use: NO_USE };
      byName.set(name, { ids: [...ids, container.id], use: maxUse([use, uses[index] as Use]) });
    }
    const result: NodeUse = { settled: NO_USE, pending: [] };
    const claims = [...ended, ...this.claims];
    for (const [name, { ids, use }] of byName) {
      const claim = claims.find(({ container }) => container === name || ids.includes(container));
      const all = claim ? maxUse([use, claim.wants]) : use;
      const settled = claim?.isPending ? claim.before : all;
      result.settled = sumUse([result.settled, settled]);
      if (claim?.isPending) result.pending.push({ claim: claim.id, use: subtractUse(all, settled) });
    }
    return result;
  }

  /** Nothing if the container was removed since it was listed. */
  private async useOf({ id, name }: Pick<ContainerSummary, "id" | "name">): Promise<Use> {
    const usable = await this.inventory.usableBy(id);
    const isRun = isRunContainer(name);
    return usable ? { containers: isRun ? 0 : 1, runs: isRun ? 1 : 0, ...usable } : NO_USE;
  }

  /**
   * Claims room for a container that will be created.
   * @param name of the container
   * @param access what the client may do; without quotas nothing is counted
   */
  open(name: string, access: Access): QuotaClaim {
    return this.openClaim(name, access, NO_USE, NO_USE);
  }

  /**
   * Changes the limits of a container, if what it may use more fits.
   * @param limits of the container afterwards: bytes and cores, 0 for none
   * @throws AppError as `QuotaClaim.confirm`
   */
  async whileChanging<T>(
    container: Pick<ContainerSummary, "id" | "name">,
    limits: { memory: number; cpus: number },
    access: Access,
    change: () => Promise<T>,
  ): Promise<T> {
    if (access.quotas.length === 0) return change();
    const before = await this.useOf(container);
    const wants = { ...before, ...(await this.inventory.usableWithin(limits)) };
    if (isDeepStrictEqual(maxUse([before, wants]), before)) return change();
    const claim = this.openClaim(container.name, access, before, wants);
    try {
      await claim.confirm();
      return await change();
    } finally {
      claim.close();
    }
  }

  private openClaim(container: string, access: Access, before: Use, wants: Use): QuotaClaim {
    const { quotas } = access;
    if (quotas.length === 0) return NO_CLAIM;
    const claim: Claim = { id: `${Date.now()} ${randomUUID()}`, container, before, wants, isPending: true };
    this.claims.add(claim);
    return { confirm: () => this.confirm(claim, quotas), close: () => this.end(claim) };
  }

  private end(claim: Claim): void {
    this.claims.delete(claim);
    for (const ended of this.endedDuringCounts) ended.push(claim);
  }

  private async confirm(claim: Claim, quotas: Access["quotas"]): Promise<void> {
    const deadline = performance.now() + SETTLE_MS;
    const decide = () => Promise.all(quotas.map(async ({ max, labels }) => decideQuota(max, await this.countAll(labels), claim.id)));
    while ((await decide()).includes("wait")) {
      await sleep(this.askAgainMs);
      // At the deadline it gives way to later claims too.
      if (performance.now() > deadline && !claim.id.startsWith(LAST_CLAIM)) claim.id = LAST_CLAIM + claim.id;
    }
    claim.isPending = false;
  }

  /**
   * To be called before an existing container is started: nothing is while a quota is passed, such as by containers that a client with a
   * wider token made.
   * @throws AppError as `QuotaClaim.confirm`
   */
  async assertWithin({ quotas }: Access): Promise<void> {
    await Promise.all(quotas.map(async ({ max, labels }) => decideQuota(max, await this.countAll(labels), "")));
  }

  /** Lets other claims wait for the end of a container that is about to be removed, while it still counts. */
  async whileRemoving<T>(id: string, removal: Promise<T>): Promise<T> {
    const claim: Claim = { id: LAST_CLAIM, container: id, before: NO_USE, wants: NO_USE, isPending: true };
    this.claims.add(claim);
    return removal.finally(() => this.end(claim));
  }

  /** What each quota of a token limits and how much of it is used on the nodes that answer. */
  async used({ quotas }: Access): Promise<QuotaUse[]> {
    return Promise.all(
      quotas.map(async ({ max, labels }) => {
        const [own, others] = await Promise.all([this.count(labels).catch(() => undefined), this.askOthers(labels)]);
        const used = totalUse([...(own ? [own] : []), ...others.answers.map(({ value }) => value)]);
        const missing = [...(own ? [] : [this.nodeName]), ...others.missing.map(({ node }) => node)];
        return { labels, max, used, ...(missing.length > 0 ? { missing } : {}) };
      }),
    );
  }

  private async countAll(labels: ConfiningLabels): Promise<NodeUse[]> {
    const [own, { answers, missing }] = await Promise.all([this.count(labels), this.askOthers(labels)]);
    if (missing.length > 0) {
      const names = missing.map(({ node }) => node).join(", ");
      throw new AppError("NODES_MISSING", {
        message: `What the token's labels use can't be counted: ${names} can't be asked`,
        details: { caveat: "max", missing },
      });
    }
    return [own, ...answers.map(({ value }) => value)];
  }
}

/** The name of a container, or that of the managed container that it replaces: the two count once. */
function nameOf({ name, labels }: ContainerSummary): string {
  const replaced = replacedName(name);
  return replaced !== undefined && labels[CUID_LABEL] === replaced ? replaced : name;
}
