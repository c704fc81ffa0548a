import { mkdirSync, statSync } from "node:fs";
import path from "node:path";
import { Writable } from "node:stream";
import winston from "winston";
import { type AuditEntry, type AuditRange, readAuditLog } from "./audit-log";
import { RotatingFile } from "./rotating-file";

const LEVELS = { fatal: 0, error: 1, warn: 2, info: 3, debug: 4, trace: 5 };
/** Limit of the wait for the last lines to reach the disk, which may hang. */
const CLOSE_TIMEOUT_MS = 5000;
/** Errors of a folder that can be made later, when the disk has room again. */
const NO_ROOM = new Set(["ENOSPC", "EDQUOT"]);
type Write = (message: string, fields?: Record<string, unknown>) => void;

/** Writes one entry per call. The message is a fixed text to search for; fields hold ids, codes and causes, never secrets. */
export type Logger = Record<keyof typeof LEVELS, Write>;

export interface Logs {
  log: Logger;
  /** Appends one line to the audit log, actions.jsonl. */
  audit: (entry: Record<string, unknown>) => void;
  /** Reads the audit log, rotated files too: see `readAuditLog`. */
  readAudit: (range: AuditRange) => AsyncGenerator<AuditEntry | undefined>;
  /** Lines that could not be written since the start, by file: a full disk costs lines, never the server. */
  lostLines: () => Record<string, number>;
  /** Resolves when everything logged so far is written; later entries are dropped. */
  close: () => Promise<void>;
}

export interface LogSettings {
  log_level: string;
  log_dir: string;
  /** days */
  log_expiry: number;
  /** MB */
  log_max_size: number;
}

/**
 * Opens the server log (terminal and file) and the audit log `actions.jsonl`; files are rotated by day and size, and removed by age.
 * @throws Error if the log folder can't be made, unless only room is missing
 */
export function openLogs(settings: LogSettings): Logs {
  try {
    makeFolder(path.resolve(settings.log_dir));
  } catch (error) {
    const { code = "", message } = error as NodeJS.ErrnoException;
    if (!NO_ROOM.has(code)) throw new Error(`--log_dir can't be used: ${message}`, { cause: error });
  }
  const terminal = surviveTerminalErrors();
  const text = winston.format.combine(winston.format.timestamp(), winston.format.printf(formatLine));
  const file = rotatingFile(settings, "docker-server", "log");
  const actions = rotatingFile(settings, "actions", "jsonl");
  const lines = new Writable({
    decodeStrings: false,
    write(line: string, _encoding, done) {
      file.append(line);
      done();
    },
  });
  const program = winston.createLogger({
    levels: LEVELS,
    level: settings.log_level,
    format: text,
    transports: [new winston.transports.Console(), new winston.transports.Stream({ stream: lines, eol: "" })],
  });
  return {
    log: program as unknown as Logger,
    audit: (entry) => actions.append(JSON.stringify(entry)),
    readAudit: (range) => readAuditLog(settings.log_dir, range),
    lostLines: () => ({ "docker-server.log": file.lostLines, "actions.jsonl": actions.lostLines, terminal: terminal.lostLines }),
    close: async () => {
      const closed = Promise.all([closeLogger(program).then(() => file.close()), actions.close()]);
      await Promise.race([closed, new Promise((resolve) => setTimeout(resolve, CLOSE_TIMEOUT_MS).unref())]);
    },
  };
}

const isFolder = (file: string) => statSync(file, { throwIfNoEntry: false })?.isDirectory() ?? false;

/** Node's recursive mkdir never ends where the system knows of no such entry after it was made, such as below /proc. */
function makeFolder(folder: string): void {
  if (isFolder(folder)) return;
  makeFolder(path.dirname(folder));
  try {
    mkdirSync(folder);
  } catch (error) {
    // Another process may have made it meanwhile.
    if (!isFolder(folder)) throw error;
  }
}

function rotatingFile(settings: LogSettings, name: string, extension: string): RotatingFile {
  const { log_dir: folder, log_max_size, log_expiry: maxAgeDays } = settings;
  const tell = (message: string) => process.stderr.write(`The log ${message}\n`);
  return new RotatingFile({ folder, name, extension, maxBytes: log_max_size * 1024 * 1024, maxAgeDays }, tell);
}

/** The terminal may be a file on a full disk, or a pipe whose reader has ended: without a listener its errors end the process. */
function surviveTerminalErrors(): { lostLines: number } {
  const terminal = { lostLines: 0 };
  process.stdout.on("error", () => {
    terminal.lostLines += 1;
  });
  process.stderr.on("error", () => undefined);
  return terminal;
}

function formatLine(entry: winston.Logform.TransformableInfo): string {
  const { timestamp, level, message, ...fields } = entry;
  const rest = Object.keys(fields).length === 0 ? "" : ` ${JSON.stringify(fields)}`;
  return `${timestamp} ${level.toUpperCase()} ${message}${rest}`;
}

/** Resolves when the logger has passed its last line on. */
function closeLogger(logger: winston.Logger): Promise<void> {
  return new Promise((resolve) => {
    logger.on("finish", () => resolve());
    logger.end();
    // Operations that still run must not fail by writing to a closed logger.
    logger.write = () => true;
  });
}
