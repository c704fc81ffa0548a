import type { AppError } from "../../errors";
import { Reply } from "../../support/reply";
import type { Peer } from "../membership/peer";
import { callPeer, type Pool } from "../pool";
import { clusterHeaders, fanOut } from "../rpc/fan-out";

/** A peer's list as this node last received it. */
interface CachedList {
  version: string;
  json: Buffer;
  /** A time of performance.now(): the list is valid until then, unless the peer reports a change earlier. */
  validUntil: number;
  /** Number of changes that the peer has reported. */
  changes: number;
}

/**
 * The containers of all nodes as one list. A peer is called only if this node's lease on the peer's list has expired, and sends the
 * list only if its version differs from the cached one.
 */
export class ContainerCache {
  private readonly lists = new Map<string, CachedList>();
  private merged: { parts: Buffer[]; json: Buffer } = { parts: [], json: joinArrays([]) };
  private current: Promise<Reply> | undefined;
  private next: Promise<Reply> | undefined;

  constructor(private readonly pool: Pool) {}

  /**
   * Reads the lists of all nodes as they are after this call. A read already in progress can miss a change made since it began, so
   * all calls during it share the next read.
   * @throws AppError if no node, this one included, can list its containers
   */
  read(): Promise<Reply> {
    if (!this.current) return this.startRead();
    this.next ??= this.current.then(
      () => this.startRead(),
      () => this.startRead(),
    );
    return this.next;
  }

  private startRead(): Promise<Reply> {
    this.next = undefined;
    const reading = this.readAll();
    this.current = reading;
    const finish = () => {
      if (this.current === reading) this.current = undefined;
    };
    reading.then(finish, finish);
    return reading;
  }

  /** Ends the lease on a peer's list, because the peer has reported a change. */
  invalidate(node: string): void {
    const list = this.listOf(node);
    list.validUntil = 0;
    list.changes += 1;
  }

  private listOf(node: string): CachedList {
    const known = this.lists.get(node);
    if (known) return known;
    const empty = { version: "", json: joinArrays([]), validUntil: 0, changes: 0 };
    this.lists.set(node, empty);
    return empty;
  }

  private async readPeer(peer: Peer): Promise<Buffer> {
    const list = this.listOf(peer.name);
    const calledAt = performance.now();
    const { changes } = list;
    const { version, json, lease } = await callPeer(this.pool, peer, "list", { have: list.version });
    if (json !== undefined) Object.assign(list, { version, json: Buffer.from(json) });
    // A change report comes over another connection and can overtake this answer.
    list.validUntil = list.changes === changes ? calledAt + lease : 0;
    return list.json;
  }

  private async readAll(): Promise<Reply> {
    const { pool } = this;
    const { peers } = pool.members;
    const now = performance.now();
    const leased = peers.filter((peer) => peer.missingReason === undefined && this.listOf(peer.name).validUntil > now);
    const [own, others] = await Promise.all([
      pool.host.list().then(
        ({ json }) => json,
        (error: AppError) => error,
      ),
      fanOut(
        peers.filter((peer) => !leased.includes(peer)),
        (peer) => this.readPeer(peer),
      ),
    ]);
    for (const name of this.lists.keys()) if (!peers.some((peer) => peer.name === name)) this.lists.delete(name);
    const lists = new Map(others.answers.map(({ node, value }) => [node, value]));
    for (const { name } of leased) lists.set(name, this.listOf(name).json);
    if (Buffer.isBuffer(own)) lists.set(pool.nodeName, own);
    else if (lists.size === 0) throw own;
    const answered = [pool.nodeName, ...peers.map(({ name }) => name)].filter((name) => lists.has(name));
    const parts = answered.map((name) => lists.get(name) as Buffer);
    const missing = [...(Buffer.isBuffer(own) ? [] : [{ node: pool.nodeName, reason: own.message }]), ...others.missing];
    const headers = { "Content-Type": "application/json; charset=utf-8", ...clusterHeaders(answered, missing) };
    return new Reply(200, this.merge(parts), headers);
  }

  private merge(parts: Buffer[]): Buffer {
    const before = this.merged;
    if (parts.length !== before.parts.length || parts.some((part, index) => part !== before.parts[index]))
      this.merged = { parts, json: joinArrays(parts) };
    return this.merged.json;
  }
}

/** Joins JSON arrays as bytes, without parsing them. */
function joinArrays(lists: Buffer[]): Buffer {
  const inner = lists.map((list) => list.subarray(1, list.length - 1)).filter((list) => list.length > 0);
  const comma = Buffer.from(",");
  return Buffer.concat([Buffer.from("["), ...inner.flatMap((list, index) => (index === 0 ? [list] : [comma, list])), Buffer.from("]")]);
}
