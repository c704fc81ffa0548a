import { z } from "zod";
import { answeredError } from "../../errors";
import { formatEvent, type ParsedEvent, parseEvents } from "../../support/event-format";
import { Reply, streamReply } from "../../support/reply";
import type { Pool } from "../pool";
import { clusterHeaders, type MissingNode } from "../rpc/fan-out";
import { streamsOfAllNodes } from "./merge";
import type { RoutedRequest } from "./routed-request";

const FORMAT = "application/x-ndjson";

/** What a node tells at the end of its findings. */
const nodeResult = z.object({
  containers: z.number(),
  bytes_read: z.number(),
  max_bytes: z.number(),
  /** absent from a node of an earlier version */
  unknown: z.array(z.string()).default([]),
  unreadable: z.array(z.string()),
  truncated: z.enum(["limit", "bytes", "time"]).nullable(),
  /** of a search that found nothing */
  warnings: z.array(z.string()).optional(),
});

/**
 * Runs a search on every node and passes on what the nodes find, as it arrives, up to `limit` of the query. The last event, `result`, tells
 * which nodes have searched and which are missing.
 * @param timeoutMs for a peer's reply
 * @throws AppError this node's own error if no node answered
 */
export async function mergeFindings(pool: Pool, request: RoutedRequest, timeoutMs: number): Promise<Reply> {
  const { streams, missing } = await streamsOfAllNodes(pool, request, timeoutMs);
  const sources = streams.map(({ node, reply }) => new FindingSource(node, reply));
  const { limit } = request.query as { limit: number };
  const reply = streamReply(FORMAT, merge(sources, limit, missing, pool.members.storeWasRead));
  const nodes = sources.map(({ node }) => node);
  return new Reply(reply.status, reply.body, { ...reply.headers, ...clusterHeaders(nodes, missing) });
}

async function* merge(
  sources: FindingSource[],
  limit: number,
  unreachable: readonly MissingNode[],
  storeWasRead: boolean,
): AsyncGenerator<Buffer> {
  try {
    const pending = new Map(sources.map((source) => [source, source.advance()]));
    let lines = 0;
    let isFull = false;
    while (pending.size > 0) {
      const source = await Promise.race(pending.values());
      // The one that was heard waits behind the others.
      pending.delete(source);
      const { head } = source;
      if (head === undefined) continue;
      isFull = lines === limit;
      if (isFull) break;
      lines += 1;
      yield Buffer.from(head);
      pending.set(source, source.advance());
    }
    yield Buffer.from(formatEvent(FORMAT, "result", { lines, ...summaryOf(sources, lines, isFull, unreachable, storeWasRead) }));
  } finally {
    for (const source of sources) source.close();
  }
}

function summaryOf(sources: FindingSource[], lines: number, isFull: boolean, unreachable: readonly MissingNode[], storeWasRead: boolean) {
  const results = sources.flatMap(({ result }) => result ?? []);
  const missing = [...unreachable, ...sources.flatMap(({ node, failure }) => (failure === undefined ? [] : [{ node, reason: failure }]))];
  const sum = (name: "containers" | "bytes_read") => results.reduce((total, result) => total + result[name], 0);
  const truncated = isFull ? "limit" : (results.find((each) => each.truncated)?.truncated ?? null);
  const isUnknown = (name: string) => sources.every(({ result, failure }) => failure !== undefined || result?.unknown.includes(name));
  const unreadable = results.flatMap((result) => result.unreadable);
  const warnings = lines === 0 ? results[0]?.warnings : undefined;
  return {
    complete: missing.length === 0 && truncated === null && unreadable.length === 0 && storeWasRead,
    nodes: sources.flatMap(({ node, failure }) => (failure === undefined ? [node] : [])),
    missing,
    truncated,
    containers: sum("containers"),
    // A node that has not ended yet may know the name.
    unknown: results[0]?.unknown.filter(isUnknown) ?? [],
    unreadable,
    bytes_read: sum("bytes_read"),
    max_bytes: results[0]?.max_bytes ?? null,
    ...(warnings === undefined ? {} : { warnings }),
  };
}

/** The findings of one node. */
class FindingSource {
  /** The next finding as text; undefined at the end. */
  head: string | undefined;
  result: z.output<typeof nodeResult> | undefined;
  /** Why it broke off: an end without a `result` is none. */
  failure: string | undefined;
  private readonly events: AsyncGenerator<ParsedEvent>;

  constructor(
    readonly node: string,
    reply: Reply,
  ) {
    this.events = parseEvents(FORMAT, reply.body as AsyncIterable<Buffer>);
  }

  /** Reads the next finding. */
  async advance(): Promise<this> {
    this.head = undefined;
    try {
      const { value, done } = await this.events.next();
      if (done) throw new Error("its findings have no end");
      if (value.event === "error") throw answeredError(value.data);
      if (value.event === "result") this.result = nodeResult.parse(value.data);
      else this.head = value.text;
    } catch (error) {
      this.failure = (error as Error).message;
    }
    return this;
  }

  close(): void {
    void this.events.return(undefined).catch(() => undefined);
  }
}
