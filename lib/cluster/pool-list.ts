import type { AppError } from "../errors";
import { Reply } from "../support/reply";
import { clusterHeaders } from "./every-node";
import { fanOut } from "./fan-out";
import { askPeer, type Pool } from "./pool";

interface Held {
  version: string;
  json: Buffer;
}

/** The containers of all nodes as one list. Every reading asks every node, but what a node has told already it doesn't tell again. */
export class PoolList {
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

  private async gather(): Promise<Reply> {
    const { pool } = this;
    const { peers } = pool.members;
    const [own, others] = await Promise.all([
      pool.host.list().then(
        ({ json }) => json,
        (error: AppError) => error,
      ),
      fanOut(peers, async (peer) => {
        const { version, json } = await askPeer(pool, peer, "list", { have: this.held.get(peer.name)?.version ?? "" });
        if (json !== undefined) this.held.set(peer.name, { version, json: Buffer.from(json) });
        return (this.held.get(peer.name) as Held).json;
      }),
    ]);
    for (const name of this.held.keys()) if (!peers.some((peer) => peer.name === name)) this.held.delete(name);
    const failed = !Buffer.isBuffer(own);
    // Alone with a dead engine there is nothing to answer.
    if (failed && others.answers.length === 0) throw own;
    const parts = [...(failed ? [] : [own]), ...others.answers.map(({ value }) => value)];
    const answered = [...(failed ? [] : [pool.self]), ...others.answers.map(({ node }) => node)];
    const missing = [...(failed ? [{ node: pool.self, reason: own.message }] : []), ...others.missing];
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
