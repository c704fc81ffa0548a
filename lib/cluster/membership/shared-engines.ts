import { randomUUID } from "node:crypto";
import type { Logger } from "../../support/logger";
import type { Peer } from "./peer";
import type { NodeRecord } from "./record";

export interface SharedEnginesDeps {
  /** this node's */
  nodeName: string;
  /** id of this node's engine; undefined if it isn't known yet */
  engineId: () => string | undefined;
  /** Creates a volume on this node's engine, and removes it when `use` has settled. */
  withVolume: (name: string, use: () => Promise<void>) => Promise<void>;
  /** whether a peer's engine has a volume */
  peerHasVolume: (peer: Peer, name: string) => Promise<boolean>;
  log: Logger;
}

type EngineFields = Pick<NodeRecord, "name" | "same_engine">;

/**
 * Finds out which nodes use one engine: its containers must not be listed, and no request executed, once for each of these nodes.
 * Engine ids are copied with machines, so an equal id only leads to the proof: a volume that one node creates and the other sees.
 */
export class SharedEngines {
  /** By process of a peer whose engine has the same id: whether it is the same engine. */
  private readonly verdicts = new Map<string, boolean>();

  constructor(private readonly deps: SharedEnginesDeps) {}

  /** Compares this node's engine with those of peers that were not compared yet. Never rejects: a failure is tried again with the next call. */
  async compare(peers: readonly Peer[]): Promise<void> {
    const { engineId, withVolume, log } = this.deps;
    const own = engineId();
    const open = peers.filter(({ record }) => own !== undefined && record.engine_id === own && !this.verdicts.has(record.process));
    for (const peer of open) if (this.saysItIsTheSame(peer.record)) this.decide(peer, true);
    const suspects = open.filter(({ record }) => !this.verdicts.has(record.process));
    if (suspects.length === 0) return;
    const name = `docker-server-same-engine-${randomUUID()}`;
    try {
      await withVolume(name, async () => {
        await Promise.all(
          suspects.map(async (peer) => {
            const held = await this.deps.peerHasVolume(peer, name).catch(() => undefined);
            if (held !== undefined) this.decide(peer, held);
          }),
        );
      });
    } catch (error) {
      log.debug("Engines not compared", { reason: (error as Error).message });
    }
  }

  private decide({ record }: Peer, same: boolean): void {
    this.verdicts.set(record.process, same);
    if (same) this.deps.log.warn("Another node uses this node's Docker engine", { peer: record.name, url: record.url });
  }

  private isSame({ record }: Peer): boolean {
    return this.verdicts.get(record.process) ?? this.saysItIsTheSame(record);
  }

  /** Whether the peer itself has the proof, which it may have before this node. */
  private saysItIsTheSame({ engine_id, same_engine }: NodeRecord): boolean {
    return engine_id !== undefined && engine_id === this.deps.engineId() && (same_engine?.includes(this.deps.nodeName) ?? false);
  }

  /** Names of the peers that use this node's engine, for its record. */
  names(peers: readonly Peer[]): string[] {
    return peers.filter((peer) => this.isSame(peer)).map(({ name }) => name);
  }

  /** One peer for each engine other than this node's: one that answers, if there is one, and the first by name. */
  representatives(peers: readonly Peer[]): Peer[] {
    const others = peers.filter((peer) => !this.isSame(peer));
    if (!others.some(({ record }) => record.same_engine?.length)) return others;
    const rank = ({ missingReason, name }: Peer) => `${missingReason === undefined ? 0 : 1} ${name}`;
    const chosen = groupByEngine(others, ({ record }) => record).map((group) =>
      group.reduce((best, peer) => (rank(peer) < rank(best) ? peer : best)),
    );
    return others.filter((peer) => chosen.includes(peer));
  }
}

/** Groups nodes that use one engine, directly or over a third node: the lists of nodes that have just started are not complete yet. */
function groupByEngine<T>(nodes: readonly T[], fieldsOf: (node: T) => EngineFields): T[][] {
  let groups: T[][] = [];
  for (const node of nodes) {
    const linked = groups.filter((group) => group.some((other) => shareEngine(fieldsOf(other), fieldsOf(node))));
    groups = [...groups.filter((group) => !linked.includes(group)), [...linked.flat(), node]];
  }
  return groups;
}

function shareEngine(a: EngineFields, b: EngineFields): boolean {
  return (a.same_engine?.includes(b.name) || b.same_engine?.includes(a.name)) ?? false;
}

/** A sentence for each set of nodes that use one engine. */
export function sharedEngineWarnings(records: readonly EngineFields[]): string[] {
  const groups = groupByEngine(records, (record) => record).filter((group) => group.length > 1);
  return groups.map((group) => {
    const names = group.map(({ name }) => name).sort();
    return `The nodes ${names.join(", ")} use one Docker engine: only one of them is asked; give each node its own engine`;
  });
}
