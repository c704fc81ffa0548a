import { answeredError } from "../../errors";
import { formatEvent, inPieces, type ParsedEvent, parseEvents } from "../../support/event-format";
import { Reply, streamReply } from "../../support/reply";
import { takingTurns } from "../../support/taking-turns";
import type { Pool } from "../pool";
import { clusterHeaders, type MissingNode } from "../rpc/fan-out";
import { streamsOfAllNodes } from "./merge";
import type { RoutedRequest } from "./routed-request";

const FORMAT = "application/x-ndjson";

/**
 * Runs a request on every node and merges the streams of entries that the nodes answer, each of them in the order of `timestamp`. Of
 * each stream one entry is held. The last event, `result`, tells how many there were and which nodes are missing.
 * @param timeoutMs for a peer's reply
 * @throws AppError this node's own error if no node answered
 */
export async function mergeTimelines(pool: Pool, request: RoutedRequest, timeoutMs: number): Promise<Reply> {
  const { streams, missing } = await streamsOfAllNodes(pool, request, timeoutMs);
  const sources = streams.map(({ node, reply }) => new TimelineSource(node, reply));
  const { limit = Infinity } = request.query as { limit?: number };
  const entries = merge(sources, limit, missing, pool.members.storeWasRead);
  const reply = streamReply(FORMAT, inPieces(entries));
  const nodes = sources.map(({ node }) => node);
  return new Reply(reply.status, reply.body, { ...reply.headers, ...clusterHeaders(nodes, missing) });
}

async function* merge(
  sources: TimelineSource[],
  limit: number,
  unreachable: readonly MissingNode[],
  storeWasRead: boolean,
): AsyncGenerator<string> {
  try {
    await Promise.all(sources.map((source) => source.advance()));
    let entries = 0;
    for (; entries < limit; entries++) {
      const next = oldestOf(sources);
      if (!next?.head) break;
      yield next.head.text;
      await next.advance();
    }
    const failed = sources.flatMap(({ node, failed }) => (failed ? [node] : []));
    const missing = [...unreachable.map(({ node }) => node), ...failed];
    yield formatEvent(FORMAT, "result", {
      entries,
      damaged_lines: sources.reduce((sum, { damagedLines }) => sum + damagedLines, 0),
      complete: missing.length === 0 && storeWasRead,
      missing,
    });
  } finally {
    for (const source of sources) source.close();
  }
}

/** The source whose next entry is the oldest; of two of one time the first. */
function oldestOf(sources: readonly TimelineSource[]): TimelineSource | undefined {
  return sources.reduce<TimelineSource | undefined>((oldest, source) => {
    if (!source.head) return oldest;
    return oldest?.head && oldest.head.time <= source.head.time ? oldest : source;
  }, undefined);
}

/** The entries of one node. */
class TimelineSource {
  /** The next entry; undefined at the end. */
  head: { time: number; text: string } | undefined;
  /** of what was read */
  damagedLines = 0;
  /** Whether it broke off: an end without a `result` is none. */
  failed = false;
  private readonly events: AsyncGenerator<ParsedEvent>;

  constructor(
    readonly node: string,
    reply: Reply,
  ) {
    this.events = parseEvents(FORMAT, takingTurns(reply.body as AsyncIterable<Buffer>));
  }

  /** Reads the next entry. */
  async advance(): Promise<void> {
    this.head = undefined;
    try {
      const { value, done } = await this.events.next();
      if (done || value.event === "error") throw done ? new Error("its entries have no end") : answeredError(value.data);
      if (value.event === "result") this.damagedLines = Number(value.data.damaged_lines);
      else this.head = { time: Date.parse(String(value.data.timestamp)), text: value.text };
    } catch {
      this.failed = true;
    }
  }

  close(): void {
    void this.events.return(undefined).catch(() => undefined);
  }
}
