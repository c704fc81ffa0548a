import { z } from "zod";
import { everyNode } from "../cluster/routing/where";
import { integer } from "../http/fields";
import { type Route, route, streamReply } from "../http/route";
import type { AuditEntry } from "../support/audit-log";
import { formatEvent, inPieces } from "../support/event-format";
import type { Logs } from "../support/logger";
import { assertSpan, pointInTime } from "./schemas/log-query";

const FORMAT = "application/x-ndjson";
const MAX_LIMIT = 1_000_000_000;

/**
 * The audit log of all nodes (docs/operations.md, "Audit log").
 * @param host this node's name
 */
export function auditRoutes(readAudit: Logs["readAudit"], host: string): Route[] {
  const audit = route({
    method: "get",
    path: "/audit",
    where: everyNode("timeline"),
    burst: "low",
    permission: "admin",
    summary: "The audit log of all nodes, in the order of time",
    query: z.object({
      since: pointInTime.optional().describe("Seconds since 1970, a date, or an age such as 10m"),
      until: pointInTime.optional().describe("The first moment that is left out"),
      request_id: z.string().max(100).optional().describe("Only of this request"),
      limit: integer(1, MAX_LIMIT).optional().describe("The oldest ones, up to this number"),
    }),
    responses: {
      200: {
        description: "An entry a line with its `node`, and last the event `result`: entries, damaged_lines, complete, missing",
        contentType: FORMAT,
      },
    },
    handler({ query: { since, until, request_id, limit = MAX_LIMIT } }) {
      assertSpan({ since, until });
      const entries = readAudit({ sinceMs: toMilliseconds(since), untilMs: toMilliseconds(until), request_id });
      return streamReply(FORMAT, inPieces(linesOf(entries, limit, host)));
    },
  });

  return [audit];
}

/** @param seconds since 1970, as text with decimals */
const toMilliseconds = (seconds: string | undefined) => (seconds === undefined ? undefined : Math.round(Number(seconds) * 1000));

async function* linesOf(audit: AsyncIterable<AuditEntry | undefined>, limit: number, node: string): AsyncGenerator<string> {
  let entries = 0;
  let damaged_lines = 0;
  for await (const entry of audit) {
    if (entry) yield `${JSON.stringify({ ...entry, node })}\n`;
    if (entry) entries += 1;
    else damaged_lines += 1;
    if (entries === limit) break;
  }
  yield formatEvent(FORMAT, "result", { entries, damaged_lines, complete: true, missing: [] });
}
