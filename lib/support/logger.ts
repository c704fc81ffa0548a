import { mkdirSync } from "node:fs";
import path from "node:path";
import winston from "winston";
import DailyRotateFile from "winston-daily-rotate-file";

const LEVELS = { fatal: 0, error: 1, warn: 2, info: 3, debug: 4, trace: 5 };
/** Limit of the wait for the last lines to reach the disk, which may be full. */
const CLOSE_TIMEOUT_MS = 5000;
type Write = (message: string, fields?: Record<string, unknown>) => void;

/** Writes one entry per call. The message is a fixed text to search for; fields hold ids, codes and causes, never secrets. */
export type Logger = Record<keyof typeof LEVELS, Write>;

export interface Logs {
  log: Logger;
  /** Appends one line to the audit log, actions.jsonl. */
  audit: (entry: Record<string, unknown>) => void;
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
 * @throws Error if the log folder can't be written
 */
export function openLogs(settings: LogSettings): Logs {
  mkdirSync(settings.log_dir, { recursive: true });
  const text = winston.format.combine(winston.format.timestamp(), winston.format.printf(formatLine));
  const files = { program: rotatingFile(settings, "docker-server", "log"), actions: rotatingFile(settings, "actions", "jsonl") };
  const program = winston.createLogger({
    levels: LEVELS,
    level: settings.log_level,
    format: text,
    transports: [new winston.transports.Console(), files.program],
  });
  const actions = winston.createLogger({
    format: winston.format.printf((entry) => entry.message as string),
    transports: [files.actions],
  });
  return {
    log: program as unknown as Logger,
    audit: (entry) => void actions.info(JSON.stringify(entry)),
    close: async () => {
      await Promise.all([closeLogger(program, files.program), closeLogger(actions, files.actions)]);
    },
  };
}

function rotatingFile(settings: LogSettings, name: string, extension: string) {
  const transport = new DailyRotateFile({
    dirname: settings.log_dir,
    filename: `${name}-%DATE%.${extension}`,
    datePattern: "YYYY-MM-DD",
    maxSize: `${settings.log_max_size}m`,
    maxFiles: `${settings.log_expiry}d`,
    createSymlink: true,
    symlinkName: `${name}.${extension}`,
    auditFile: path.join(settings.log_dir, `.${name}-files.json`),
  });
  // A full disk must not stop the server; the terminal still gets the lines.
  transport.on("error", (error) => process.stderr.write(`The log ${name}.${extension} can't be written: ${error.message}\n`));
  return transport;
}

function formatLine(entry: winston.Logform.TransformableInfo): string {
  const { timestamp, level, message, ...fields } = entry;
  const rest = Object.keys(fields).length === 0 ? "" : ` ${JSON.stringify(fields)}`;
  return `${timestamp} ${level.toUpperCase()} ${message}${rest}`;
}

/** Resolves when the logger's last line is in its file. */
function closeLogger(logger: winston.Logger, file: DailyRotateFile): Promise<void> {
  return new Promise((resolve) => {
    logger.on("finish", () => {
      // Winston's own "finish" only means that the lines were passed to the transport.
      file.once("finish", () => resolve());
      file.close?.();
      setTimeout(resolve, CLOSE_TIMEOUT_MS).unref();
    });
    logger.end();
    // Operations that still run must not fail by writing to a closed logger.
    logger.write = () => true;
  });
}
