import { mkdirSync } from "node:fs";
import path from "node:path";
import winston from "winston";
import DailyRotateFile from "winston-daily-rotate-file";

const LEVELS = { fatal: 0, error: 1, warn: 2, info: 3, debug: 4, trace: 5 };
/** A disk that takes no more is not waited for any longer (ms). */
const LAST_LINES = 5000;
type Write = (message: string, fields?: Record<string, unknown>) => void;

/** Writes one entry of the level named. Fields never hold a secret: callers pass ids, codes and causes only. */
export type Logger = Record<keyof typeof LEVELS, Write>;

export interface Logs {
  log: Logger;
  /** Adds one line to actions.jsonl. */
  audit: (entry: Record<string, unknown>) => void;
  /** Resolves once everything logged so far is written. */
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
 * Opens the program's log (terminal and file) and the audit log `actions.jsonl`, rotated by day and size, removed by age.
 * @throws Error if the folder of the logs can't be written
 */
export function openLogs(settings: LogSettings): Logs {
  mkdirSync(settings.log_dir, { recursive: true });
  const text = winston.format.combine(winston.format.timestamp(), winston.format.printf(toLine));
  const files = { program: rotated(settings, "docker-server", "log"), actions: rotated(settings, "actions", "jsonl") };
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
      await Promise.all([finished(program, files.program), finished(actions, files.actions)]);
    },
  };
}

function rotated(settings: LogSettings, name: string, extension: string) {
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
  // A full disk must not take the server with it; the terminal still has the line.
  transport.on("error", (error) => process.stderr.write(`The log ${name}.${extension} can't be written: ${error.message}\n`));
  return transport;
}

function toLine(entry: winston.Logform.TransformableInfo): string {
  const { timestamp, level, message, ...fields } = entry;
  const rest = Object.keys(fields).length === 0 ? "" : ` ${JSON.stringify(fields)}`;
  return `${timestamp} ${level.toUpperCase()} ${message}${rest}`;
}

/** Resolves when its last line is in its file. */
function finished(logger: winston.Logger, file: DailyRotateFile): Promise<void> {
  return new Promise((resolve) => {
    logger.on("finish", () => {
      // To winston it is finished when it has been handed on.
      file.once("finish", () => resolve());
      file.close?.();
      setTimeout(resolve, LAST_LINES).unref();
    });
    logger.end();
    // Whoever is still at something meanwhile has nobody to tell any more.
    logger.write = () => true;
  });
}
