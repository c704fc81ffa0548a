import { Members } from "../../../lib/cluster/membership/members";
import type { Peer } from "../../../lib/cluster/membership/peer";
import type { NodeRecord } from "../../../lib/cluster/membership/record";
import type { Store } from "../../../lib/cluster/membership/store/store";
import { Signatures } from "../../../lib/cluster/rpc/signatures";
import { noAnswer, recordOf } from "./cluster-parts";
import { type LogEntry, quietLog } from "./quiet-log";

export const REFRESH_MS = 1000;
export const READ_MS = 300;

/** A store in memory; the test sets whether it works. */
export class MemoryStore implements Store {
  texts = new Map<string, string>();
  /** whether operations succeed, reject or never settle */
  state: "ok" | "fails" | "hangs" = "ok";
  reads = 0;
  closed = 0;

  publish(key: string, text: string): Promise<void> {
    return this.when(() => void this.texts.set(key, text));
  }

  read(): Promise<Map<string, string>> {
    this.reads += 1;
    return this.when(() => new Map(this.texts));
  }

  withdraw(key: string): Promise<void> {
    return this.when(() => void this.texts.delete(key));
  }

  async close(): Promise<void> {
    this.closed += 1;
  }

  private async when<T>(work: () => T): Promise<T> {
    if (this.state === "hangs") return new Promise(() => {});
    if (this.state === "fails") throw new Error("the store is down");
    return work();
  }
}

export interface Node {
  members: Members;
  /** its own record from now on */
  record: NodeRecord;
  /** names of its peers */
  peers: () => string[];
  peer: (name: string) => Peer;
  /** how often the nodes that must be asked have changed */
  changes: number;
  /** everything logged so far */
  entries: LogEntry[];
  /** messages of the warnings and notices so far */
  logged: () => string[];
}

interface NodeParts {
  secret?: string;
  /** its process id */
  process?: string;
  /** names of the peers that answer its probes */
  alive?: Set<string>;
}

/** Node `name` of the cluster that uses the store. */
export function nodeOf(store: Store, name: string, { secret = "key", process, alive = new Set() }: NodeParts = {}): Node {
  const { log, entries } = quietLog();
  const node = { record: recordOf(name, process === undefined ? {} : { process, sequence: 0 }), changes: 0 };
  const ownRecord = async () => {
    node.record = { ...node.record, sequence: node.record.sequence + 1 };
    return node.record;
  };
  const probe = async (peer: Peer) => {
    if (!alive.has(peer.name)) throw noAnswer(peer.name);
  };
  const members = new Members({
    store,
    signatures: new Signatures([secret]),
    settings: { nodeName: name, refreshIntervalMs: REFRESH_MS, readIntervalMs: READ_MS },
    ownRecord,
    probe,
    sharedEngines: { compare: async () => undefined, representatives: (peers) => [...peers] },
    onChange: () => {
      node.changes += 1;
    },
    log,
  });
  return Object.assign(node, {
    members,
    peers: () => members.peers.map((peer) => peer.name).sort(),
    peer: (wanted: string) => members.peers.find((peer) => peer.name === wanted) as Peer,
    entries,
    logged: () => entries.filter(({ level }) => level === "warn" || level === "info").map(({ message }) => message),
  });
}

/** Advances the fake timers by this many milliseconds. */
export const pass = (ms: number) => jest.advanceTimersByTimeAsync(ms);
