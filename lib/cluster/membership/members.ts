import { createHash } from "node:crypto";
import { LRUCache } from "lru-cache";
import type { Logger } from "../../support/logger";
import { PeerFailure } from "../rpc/peer-failure";
import type { Signatures } from "../rpc/signatures";
import { Peer } from "./peer";
import { decodeRecord, encodeRecord, type NodeRecord } from "./record";
import type { Store } from "./store/store";

export interface MemberSettings {
  /** this node's */
  name: string;
  /** ms between publications */
  refreshRate: number;
  /** ms between reads of the store */
  cacheInterval: number;
}

/** A store that doesn't answer in this time (ms) is down. */
const STORE_TIMEOUT = 5000;
/** Missing peers are looked after so often (ms). */
const PROBE_INTERVAL = 100;

/** Who is there: what the store says, corrected by who answers. A store that is down changes nothing. */
export class Members {
  private readonly known = new Map<string, Peer>();
  /** Processes of nodes that have left, and records of those that fell silent: these are ignored. */
  private readonly gone = new Map<string, string>();
  /** Processes of nodes that have been at another address since: their records, put back, would lead to whoever is there now. */
  private readonly moved = new LRUCache<string, true>({ max: 1000 });
  /** Processes whose node is another process by now: at a reload they may still publish for a moment. */
  private readonly superseded = new LRUCache<string, true>({ max: 1000 });
  /** Records that have been warned of. */
  private readonly refused = new LRUCache<string, true>({ max: 1000 });
  private readonly timers: NodeJS.Timeout[] = [];
  /** What the store can't do at present. */
  private readonly failing = new Set<string>();
  /** What it has been asked for and not answered, maybe for long. */
  private readonly pending = new Set<string>();
  /** This process, as its record names it. */
  private process: string | undefined;
  private reading: Promise<void> = Promise.resolve();
  private publishing: Promise<void> = Promise.resolve();
  private stopped = false;
  private met = false;
  /** The process that had this node's name before, if the store still held its record at the start. */
  predecessor: string | undefined;

  /**
   * @param own makes this node's record
   * @param probe asks a peer whether it lives; rejects with the reason if it doesn't
   */
  constructor(
    private readonly store: Store,
    private readonly signatures: Signatures,
    private readonly settings: MemberSettings,
    private readonly own: () => Promise<NodeRecord>,
    private readonly probe: (peer: Peer) => Promise<void>,
    private readonly log: Logger,
  ) {}

  /** Reads once who is there, waiting for a store that is down no longer than 5 s. */
  async meet(): Promise<void> {
    await this.refresh();
    this.met = true;
  }

  /** Publishes and reads once, waiting for a store that is down no longer than 5 s, then keeps doing so. */
  async start(): Promise<void> {
    this.publishing = this.publish();
    await this.publishing;
    await this.refresh();
    this.every(this.settings.refreshRate, () => {
      this.publishing = this.publish();
      return this.publishing;
    });
    this.every(this.settings.cacheInterval, () => this.refresh());
    this.every(PROBE_INTERVAL, () => this.probeMissing());
  }

  /** Withdraws this node's record. */
  async stop(): Promise<void> {
    this.stopped = true;
    for (const timer of this.timers) clearTimeout(timer);
    // What is just being written must not come after the withdrawal.
    await this.publishing.catch(() => undefined);
    await this.withStore("withdrawn from", async () => {
      // At a reload the next process of this node has published by now: what stands there is not this one's any more.
      const stored = (await this.store.read()).get(keyOf(this.settings.name));
      if (stored !== undefined && this.isOwn(stored)) await this.store.withdraw(keyOf(this.settings.name));
    });
    await this.store.close().catch(() => undefined);
  }

  /** All other nodes, also those that are missing at present. */
  get peers(): Peer[] {
    return [...this.known.values()];
  }

  /**
   * @param record of a node that has said that it is there
   * @param predecessor the process before it
   */
  joined(record: NodeRecord, predecessor: string | undefined): void {
    if (predecessor !== undefined && predecessor !== record.process) this.superseded.set(predecessor, true);
    this.accept(record);
  }

  /**
   * @param name of a node that has said that it leaves
   * @param process that says so: the next one of that name may be there already
   * @param predecessor the one before it, which may be all that is known yet
   */
  left(name: string, process: string, predecessor?: string): void {
    const peer = this.known.get(name);
    if (peer && peer.record.process !== process && peer.record.process !== predecessor) return;
    this.known.delete(name);
    this.gone.set(name, process);
  }

  private async publish(): Promise<void> {
    const record = await this.own();
    this.process = record.process;
    await this.withStore("published to", () => this.store.publish(keyOf(this.settings.name), encodeRecord(record, this.signatures)));
  }

  /** Reads the store now. */
  refresh(): Promise<void> {
    const read = () => this.readAll();
    this.reading = this.reading.then(read, read);
    return this.reading;
  }

  private async readAll(): Promise<void> {
    const texts = await this.withStore("read", () => this.store.read());
    for (const [key, text] of texts ?? []) this.take(key, text);
    this.forgetSilent();
    const own = texts?.get(keyOf(this.settings.name));
    // The process before this one may have published, or withdrawn, once more after this one began.
    if (texts && this.process !== undefined && !this.stopped && (own === undefined || !this.isOwn(own))) await this.publish();
  }

  private isOwn(text: string): boolean {
    try {
      return decodeRecord(text, this.signatures).process === this.process;
    } catch {
      return false;
    }
  }

  private take(key: string, text: string): void {
    let record: NodeRecord;
    try {
      record = decodeRecord(text, this.signatures);
      if (keyOf(record.name) !== key) throw new Error("it stands under another node's name");
      if (this.moved.has(record.process)) throw new Error("its node has another address by now, or two nodes have one name");
    } catch (error) {
      this.refuse(key, (error as Error).message);
      return;
    }
    if (record.name === this.settings.name) {
      if (!this.met) this.predecessor = record.process;
      return;
    }
    this.accept(record);
  }

  private accept(record: NodeRecord): void {
    if (this.superseded.has(record.process)) return;
    const gone = this.gone.get(record.name);
    if (gone === record.process || gone === idOf(record)) return;
    this.gone.delete(record.name);
    const peer = this.known.get(record.name);
    if (peer && peer.record.url !== record.url) this.moved.set(peer.record.process, true);
    if (peer) peer.published(record);
    else this.known.set(record.name, new Peer(record));
  }

  // It is read every few seconds, and told of once.
  private refuse(key: string, reason: string): void {
    const which = createHash("sha256").update(`${key}\n${reason}`).digest("base64");
    if (!this.refused.has(which))
      this.log.warn("a record of the store is not used", { key: key.slice(0, 100), reason: reason.slice(0, 300) });
    this.refused.set(which, true);
  }

  // A folder that is no longer mounted reads empty: a record's absence says nothing of a node that answers.
  private forgetSilent(): void {
    const longest = Math.max(10 * this.settings.refreshRate, 60_000);
    for (const peer of this.peers) {
      // While the store is down nobody is heard of who isn't asked: silence begins with the first question unanswered.
      if (peer.missing === undefined || performance.now() - Math.max(peer.lastSeen, peer.missingSince) < longest) continue;
      this.log.warn("a node has been silent for too long and counts as gone", { node: peer.name });
      this.known.delete(peer.name);
      this.gone.set(peer.name, idOf(peer.record));
    }
  }

  private async probeMissing(): Promise<void> {
    await Promise.all(
      this.peers
        .filter((peer) => peer.due)
        .map((peer) =>
          this.probe(peer).then(
            () => peer.answered(),
            (error: Error) => peer.failed(error instanceof PeerFailure ? error.reason : error.message),
          ),
        ),
    );
  }

  private async withStore<T>(what: string, use: () => Promise<T>): Promise<T | undefined> {
    try {
      // A folder that hangs would take one thread more each time.
      if (this.pending.has(what)) throw new Error("it has not answered yet");
      this.pending.add(what);
      const result = await inTime(use().finally(() => this.pending.delete(what)));
      if (this.failing.delete(what)) this.log.info(`the store can be ${what} again`);
      return result;
    } catch (error) {
      if (!this.failing.has(what))
        this.log.warn(`the store can't be ${what}; the nodes known so far stay`, { reason: (error as Error).message.slice(0, 300) });
      this.failing.add(what);
      return undefined;
    }
  }

  private every(ms: number, work: () => Promise<void>): void {
    const slot = this.timers.push(undefined as unknown as NodeJS.Timeout) - 1;
    const again = () => {
      if (this.stopped) return;
      this.timers[slot] = setTimeout(() => work().then(again, again), ms).unref();
    };
    again();
  }
}

function inTime<T>(promise: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`no answer in ${STORE_TIMEOUT} ms`)), STORE_TIMEOUT);
    promise.then(resolve, reject).finally(() => clearTimeout(timer));
  });
}

function idOf(record: NodeRecord): string {
  return `${record.process} ${record.sequence}`;
}

/** A node's name as every store can hold it. */
function keyOf(name: string): string {
  const readable = name.replace(/[^a-zA-Z0-9-]+/g, "-").slice(0, 60);
  return `${readable}_${createHash("sha256").update(name).digest("hex").slice(0, 12)}`;
}
