import type { AppError } from "../../errors";
import { Reply } from "../../support/reply";
import type { Peer } from "../membership/peer";
import { callPeer, type Pool } from "../pool";
import { clusterHeaders, fanOut } from "../rpc/fan-out";

/** What a node has told. */
interface Held {
  version: string;
  json: Buffer;
  /** Until then it is true unless the node has said that it has changed. */
  until: number;
  /** how often the node has said so */
  changes: number;
}

/**
 * The containers of all nodes as one list. A node is asked unless what it told last is surely true still, and what it has
 * told already it doesn't tell again.
 */
export class ContainerCache {
  private readonly held = new Map<string, Held>();
  private joined: { parts: Buffer[]; json: Buffer } = { parts: [], json: join([]) };
  private current: Promise<Reply> | undefined;
  private next: Promise<Reply> | undefined;

  constructor(private readonly pool: Pool) {}

  /**
   * The list as of some moment after the call. Whoever comes while it is being read may come too late for that reading:
   * all of them share the next.
   * @throws AppError if not even this node's own list can be had
   */
  read(): Promise<Reply> {
    if (!this.current) return this.begin();
    this.next ??= this.current.then(
      () => this.begin(),
      () => this.begin(),
    );
    return this.next;
  }

  private begin(): Promise<Reply> {
    this.next = undefined;
    const reading = this.gather();
    this.current = reading;
    const over = () => {
      if (this.current === reading) this.current = undefined;
    };
    reading.then(over, over);
    return reading;
  }

  /** A node's containers are others than it has told. */
  changed(node: string): void {
    const held = this.heldOf(node);
    held.until = 0;
    held.changes += 1;
  }

  private heldOf(node: string): Held {
    const known = this.held.get(node);
    if (known) return known;
    const nothing = { version: "", json: join([]), until: 0, changes: 0 };
    this.held.set(node, nothing);
    return nothing;
  }

  private async tell(peer: Peer): Promise<Buffer> {
    const held = this.heldOf(peer.name);
    const askedAt = performance.now();
    const { changes } = held;
    const { version, json, lease } = await callPeer(this.pool, peer, "list", { have: held.version });
    if (json !== undefined) Object.assign(held, { version, json: Buffer.from(json) });
    // Its word that it has changed goes another way, and may be here before its answer.
    held.until = held.changes === changes ? askedAt + lease : 0;
    return held.json;
  }

  private async gather(): Promise<Reply> {
    const { pool } = this;
    const { peers } = pool.members;
    const now = performance.now();
    const sure = peers.filter((peer) => peer.missing === undefined && this.heldOf(peer.name).until > now);
    const [own, others] = await Promise.all([
      pool.host.list().then(
        ({ json }) => json,
        (error: AppError) => error,
      ),
      fanOut(
        peers.filter((peer) => !sure.includes(peer)),
        (peer) => this.tell(peer),
      ),
    ]);
    for (const name of this.held.keys()) if (!peers.some((peer) => peer.name === name)) this.held.delete(name);
    const lists = new Map(others.answers.map(({ node, value }) => [node, value]));
    for (const { name } of sure) lists.set(name, this.heldOf(name).json);
    if (Buffer.isBuffer(own)) lists.set(pool.self, own);
    // Alone with a dead engine there is nothing to answer.
    else if (lists.size === 0) throw own;
    const answered = [pool.self, ...peers.map(({ name }) => name)].filter((name) => lists.has(name));
    const parts = answered.map((name) => lists.get(name) as Buffer);
    const missing = [...(Buffer.isBuffer(own) ? [] : [{ node: pool.self, reason: own.message }]), ...others.missing];
    return new Reply(200, this.join(parts), { "Content-Type": "application/json; charset=utf-8", ...clusterHeaders(answered, missing) });
  }

  private join(parts: Buffer[]): Buffer {
    const before = this.joined;
    if (parts.length !== before.parts.length || parts.some((part, index) => part !== before.parts[index]))
      this.joined = { parts, json: join(parts) };
    return this.joined.json;
  }
}

/** Joins JSON arrays, byte by byte: what is in them is nobody's business here. */
function join(lists: Buffer[]): Buffer {
  const inner = lists.map((list) => list.subarray(1, list.length - 1)).filter((list) => list.length > 0);
  const comma = Buffer.from(",");
  return Buffer.concat([Buffer.from("["), ...inner.flatMap((list, index) => (index === 0 ? [list] : [comma, list])), Buffer.from("]")]);
}
