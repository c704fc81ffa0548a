import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { rotatedFiles } from "./rotating-file";
import { takingTurns } from "./taking-turns";

/** A line of the audit log (docs/operations.md, "Audit log"). */
export interface AuditEntry extends Record<string, unknown> {
  /** ISO 8601, when the request ended */
  timestamp: string;
}

/** Which entries are wanted. The beginning is included, the end is not; ms since 1970. */
export interface AuditRange {
  sinceMs?: number | undefined;
  untilMs?: number | undefined;
  /** of this request only */
  request_id?: string | undefined;
}

/** A longer line is damaged: no request has so much to tell. */
const MAX_LINE_BYTES = 1_000_000;
const LINE_END = 10;

/**
 * Reads the audit log of a folder, the rotated files too, in the order in which it was written.
 * @returns the wanted entries, and undefined for each damaged line
 */
export async function* readAuditLog(
  folder: string,
  { sinceMs = 0, untilMs = Infinity, request_id }: AuditRange,
): AsyncGenerator<AuditEntry | undefined> {
  for (const file of await rotatedFiles(folder, "actions", "jsonl")) {
    try {
      // Its last entry is no younger than its last write.
      if ((await stat(file)).mtimeMs < sinceMs) continue;
      for await (const line of linesOf(takingTurns(createReadStream(file)))) {
        if (line === "") continue;
        const entry = line === undefined ? undefined : parseEntry(line);
        if (entry && request_id !== undefined && entry.request_id !== request_id) continue;
        const time = entry && Date.parse(entry.timestamp);
        if (time === undefined || (time >= sinceMs && time < untilMs)) yield entry;
      }
    } catch (error) {
      // Removed by its age meanwhile.
      if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
    }
  }
}

function parseEntry(line: string): AuditEntry | undefined {
  try {
    const entry = JSON.parse(line) as AuditEntry | null;
    return typeof entry?.timestamp === "string" && !Number.isNaN(Date.parse(entry.timestamp)) ? entry : undefined;
  } catch {
    return undefined;
  }
}

/** The lines of a file, undefined for one that is too long. What follows the last line end is not a line yet: it is being written. */
async function* linesOf(chunks: AsyncIterable<Buffer>): AsyncGenerator<string | undefined> {
  let rest: Buffer[] = [];
  let restBytes = 0;
  for await (const chunk of chunks) {
    let start = 0;
    for (let end = chunk.indexOf(LINE_END); end >= 0; end = chunk.indexOf(LINE_END, start)) {
      const isTooLong = restBytes + end - start > MAX_LINE_BYTES;
      yield isTooLong ? undefined : Buffer.concat([...rest, chunk.subarray(start, end)]).toString();
      rest = [];
      restBytes = 0;
      start = end + 1;
    }
    restBytes += chunk.length - start;
    rest = restBytes > MAX_LINE_BYTES ? [] : [...rest, chunk.subarray(start)];
  }
}
