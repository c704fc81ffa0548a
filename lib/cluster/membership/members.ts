import { LRUCache } from "lru-cache";
import type { Logger } from "../../support/logger";
import { PeerFailure } from "../rpc/peer-failure";
import type { Signatures } from "../rpc/signatures";
import { Namesake } from "./namesake";
import { Peer } from "./peer";
import { askedAs, decodeRecord, encodeRecord, type NodeRecord, recordId, storeKey } from "./record";
import type { SharedEngines } from "./shared-engines";
import type { Store } from "./store/store";
import { StoreOperations } from "./store/store-operations";
import { UnusableRecords } from "./unusable-records";

export interface MemberSettings {
  /** this node's */
  nodeName: string;
  /** between publications of this node's record */
  refreshIntervalMs: number;
  /** between reads of the store */
  readIntervalMs: number;
}

export interface MembersDeps {
  store: Store;
  signatures: Signatures;
  settings: MemberSettings;
  /** makes this node's record as of now */
  ownRecord: () => Promise<NodeRecord>;
  /** asks a peer whether it answers; rejects with the reason if it doesn't */
  probe: (peer: Peer) => Promise<void>;
  /** tells which peers use the same engine */
  sharedEngines: Pick<SharedEngines, "compare" | "representatives">;
  /** called when other nodes than before, or other processes or engines of them, have to be asked */
  onChange: () => void;
  log: Logger;
}

/** How often missing peers are checked for a due probe. */
const PROBE_INTERVAL_MS = 100;
/** A missing peer is removed after this time of silence, or after 10 publication intervals if that is longer. */
const MIN_SILENCE_MS = 60_000;

/** The members of the cluster: what the store holds, corrected by which peers answer. While the store is down nothing changes. */
export class Members {
  private readonly peersByName = new Map<string, Peer>();
  /** By name of a node that is no longer a member: the process that left, or the id of the last record of a silent node. Both stay ignored. */
  private readonly departed = new Map<string, string>();
  /** Names of nodes that left within the hour and are not back: what they have is still there. */
  readonly recentlyLeft = new LRUCache<string, true>({ max: 100, ttl: 3_600_000 });
  /**
   * Processes whose node has published another address since, with the last sequence seen: an old record of theirs, put back, would lead to
   * a wrong node.
   */
  private readonly relocatedProcesses = new LRUCache<string, number>({ max: 1000 });
  /** Processes that another process of the same node has replaced: during a reload the old one may publish once more. */
  private readonly supersededProcesses = new LRUCache<string, true>({ max: 1000 });
  private readonly timers: NodeJS.Timeout[] = [];
  private readonly storeOperations: StoreOperations;
  /** This process's id in its record; undefined before the first publication. */
  private ownProcess: string | undefined;
  private readonly ownKey: string;
  private currentRead: Promise<void> = Promise.resolve();
  private currentPublication: Promise<void> = Promise.resolve();
  private stopped = false;
  private discovered = false;
  /** Whether the store was read since the start. */
  storeWasRead = false;
  private readonly namesake: Namesake;
  private readonly unusableRecords: UnusableRecords;
  /** The process that had this node's name before, if the store still held its record at the start. */
  predecessor: string | undefined;

  constructor(private readonly deps: MembersDeps) {
    const { nodeName, refreshIntervalMs } = deps.settings;
    this.ownKey = storeKey(nodeName);
    this.storeOperations = new StoreOperations(deps.log);
    this.namesake = new Namesake({ nodeName, validMs: 10 * refreshIntervalMs, log: deps.log });
    this.unusableRecords = new UnusableRecords(deps.log);
  }

  /**
   * Reads the members once; a store that is down delays it by 5 s at most.
   * @throws Error if the store's settings can never work
   */
  async discover(): Promise<void> {
    await this.deps.store.assertUsable?.();
    await this.refresh();
    this.discovered = true;
  }

  /** Publishes and reads once (a store that is down delays each by 5 s at most), then keeps doing so. */
  async start(): Promise<void> {
    const { refreshIntervalMs, readIntervalMs } = this.deps.settings;
    this.currentPublication = this.publish();
    await this.currentPublication;
    await this.refresh();
    this.repeat(refreshIntervalMs, () => {
      this.currentPublication = this.publish();
      return this.currentPublication;
    });
    this.repeat(readIntervalMs, () => this.refresh());
    this.repeat(PROBE_INTERVAL_MS, () => this.probeMissingPeers());
  }

  /** Withdraws this node's record. */
  async stop(): Promise<void> {
    const { store } = this.deps;
    this.stopped = true;
    for (const timer of this.timers) clearTimeout(timer);
    // A write that is under way must not land after the withdrawal.
    await this.currentPublication.catch(() => undefined);
    await this.storeOperations.run("withdraw", async () => {
      // During a reload the next process of this node has published already: that record is not ours to withdraw.
      const stored = (await store.read()).get(this.ownKey);
      if (stored !== undefined && this.isOwnRecord(stored)) await store.withdraw(this.ownKey);
    });
    await store.close().catch(() => undefined);
  }

  /** All other nodes, including those marked missing. */
  get allPeers(): Peer[] {
    return [...this.peersByName.values()];
  }

  /** One other node for each engine: requests to all nodes go to these. */
  get peers(): Peer[] {
    return this.deps.sharedEngines.representatives(this.allPeers);
  }

  /** Sentences about another node with this node's name, and about records that are ignored. */
  get warnings(): string[] {
    return [...this.namesake.warnings, ...this.unusableRecords.warnings];
  }

  /**
   * Handles a node's `join`.
   * @param predecessor the node's process before, if there was one
   */
  handleJoin(record: NodeRecord, predecessor: string | undefined): void {
    if (predecessor !== undefined && predecessor !== record.process) this.supersededProcesses.set(predecessor, true);
    this.acceptRecord(record);
    const peer = this.peersByName.get(record.name);
    if (peer) peer.signsTime = record.timed ?? false;
    void this.deps.sharedEngines.compare(this.allPeers);
  }

  /** Whether a node is known as one of an earlier version, which signs requests without a time. */
  acceptsUntimed(nodeName: string): boolean {
    return this.peersByName.get(nodeName)?.signsTime === false;
  }

  /**
   * Handles a node's `leave`.
   * @param process the one that leaves: the node's next process may have joined already
   * @param predecessor the process before it, which may be the only one known here
   */
  handleLeave(nodeName: string, process: string, predecessor?: string): void {
    const peer = this.peersByName.get(nodeName);
    if (peer && peer.record.process !== process && peer.record.process !== predecessor) return;
    this.peersByName.delete(nodeName);
    this.departed.set(nodeName, process);
    this.recentlyLeft.set(nodeName, true);
    this.deps.onChange();
    this.deps.log.debug("Peer left", { peer: nodeName });
  }

  private async publish(): Promise<void> {
    const { store, signatures, ownRecord } = this.deps;
    const record = await ownRecord();
    this.ownProcess = record.process;
    this.namesake.ownUrl = record.url;
    await this.storeOperations.run("publish", () => store.publish(this.ownKey, encodeRecord(record, signatures)));
  }

  /** Reads the store now. */
  refresh(): Promise<void> {
    const read = () => this.readStore();
    this.currentRead = this.currentRead.then(read, read);
    return this.currentRead;
  }

  private async readStore(): Promise<void> {
    const texts = await this.storeOperations.run("read", () => this.deps.store.read());
    if (texts) {
      this.storeWasRead = true;
      this.unusableRecords.beginRead();
    }
    for (const [key, text] of texts ?? []) this.acceptStored(key, text);
    this.removeSilentPeers();
    await this.deps.sharedEngines.compare(this.allPeers);
    const own = texts?.get(this.ownKey);
    // The process before this one may have published, or withdrawn, after this one first published.
    if (texts && this.ownProcess !== undefined && !this.stopped && (own === undefined || !this.isOwnRecord(own))) await this.publish();
  }

  private isOwnRecord(text: string): boolean {
    try {
      return decodeRecord(text, this.deps.signatures).process === this.ownProcess;
    } catch {
      return false;
    }
  }

  private acceptStored(key: string, text: string): void {
    let record: NodeRecord;
    try {
      record = decodeRecord(text, this.deps.signatures);
      if (storeKey(record.name) !== key) throw new Error("it is stored under another node's key");
      if (this.isRelocated(record)) throw new Error("its node has published another address since, or two nodes have the same name");
    } catch (error) {
      this.unusableRecords.note(key, (error as Error).message);
      return;
    }
    if (record.name === this.deps.settings.nodeName) {
      if (!this.discovered) this.predecessor = record.process;
      // This process has published since: another that is still there after that runs.
      else if (this.ownProcess !== undefined && record.process !== this.ownProcess) this.namesake.note(record);
      return;
    }
    this.acceptRecord(record);
  }

  /** Another node may have had this one's name for a while: a newer record of the process counts again once the other is gone. */
  private isRelocated({ name, process, sequence }: NodeRecord): boolean {
    const last = this.relocatedProcesses.get(process);
    if (last === undefined) return false;
    const holder = this.peersByName.get(name);
    const isHeld = holder !== undefined && holder.record.process !== process && holder.missingReason === undefined;
    if (sequence > last && !isHeld) this.relocatedProcesses.delete(process);
    else this.relocatedProcesses.set(process, Math.max(last, sequence));
    return this.relocatedProcesses.has(process);
  }

  private acceptRecord(record: NodeRecord): void {
    if (this.supersededProcesses.has(record.process)) return;
    const departed = this.departed.get(record.name);
    if (departed === record.process || departed === recordId(record)) return;
    this.departed.delete(record.name);
    this.recentlyLeft.delete(record.name);
    const peer = this.peersByName.get(record.name);
    if (peer && peer.record.url !== record.url) this.relocatedProcesses.set(peer.record.process, peer.record.sequence);
    if (peer) {
      const before = askedAs(peer.record);
      peer.updateRecord(record);
      if (askedAs(record) !== before) this.deps.onChange();
    } else {
      this.deps.onChange();
      this.peersByName.set(record.name, this.createPeer(record));
      this.deps.log.debug("Peer added", { peer: record.name, url: record.url });
    }
  }

  private createPeer(record: NodeRecord): Peer {
    const { log, onChange } = this.deps;
    return new Peer(record, {
      onMissing({ name, record: { url } }, reason) {
        onChange();
        log.warn("Peer marked missing", { peer: name, url, reason });
      },
      onAlive({ name }) {
        onChange();
        log.info("Peer answers again", { peer: name });
      },
    });
  }

  /** Removes peers that neither publish nor answer. A missing record alone means nothing: an unmounted folder reads as empty. */
  private removeSilentPeers(): void {
    const limitMs = Math.max(10 * this.deps.settings.refreshIntervalMs, MIN_SILENCE_MS);
    for (const peer of this.allPeers) {
      // While the store is down, an idle peer shows no sign of life: silence counts from the first failed call.
      if (peer.missingReason === undefined || performance.now() - Math.max(peer.lastSeenAt, peer.missingSince) < limitMs) continue;
      this.deps.log.warn("Peer removed after long silence", { peer: peer.name, reason: peer.missingReason });
      this.peersByName.delete(peer.name);
      this.deps.onChange();
      this.departed.set(peer.name, recordId(peer.record));
    }
  }

  private async probeMissingPeers(): Promise<void> {
    await Promise.all(
      this.allPeers
        .filter((peer) => peer.retryDue)
        .map((peer) =>
          this.deps.probe(peer).then(
            () => peer.markAlive(),
            (error: Error) => peer.markMissing(error instanceof PeerFailure ? error.reason : error.message),
          ),
        ),
    );
  }

  private repeat(intervalMs: number, work: () => Promise<void>): void {
    const slot = this.timers.push(undefined as unknown as NodeJS.Timeout) - 1;
    const schedule = () => {
      if (this.stopped) return;
      this.timers[slot] = setTimeout(() => work().then(schedule, schedule), intervalMs).unref();
    };
    schedule();
  }
}
