import type { Logger } from "../../../lib/support/logger";

export interface LogEntry {
  level: string;
  message: string;
  fields: Record<string, unknown> | undefined;
}

/** A logger that only records its entries. */
export function quietLog(): { log: Logger; entries: LogEntry[] } {
  const entries: LogEntry[] = [];
  const levels = ["fatal", "error", "warn", "info", "debug", "trace"] as const;
  const write = (level: string) => (message: string, fields?: Record<string, unknown>) => void entries.push({ level, message, fields });
  return { log: Object.fromEntries(levels.map((level) => [level, write(level)])) as Logger, entries };
}
