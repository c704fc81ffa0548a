import { readFileSync } from "node:fs";
import path from "node:path";

/** A setting that can't be used. The message is one line for the terminal; the exit code is 2. */
export class SettingsError extends Error {}

/** Why a file can't be read, by the code of Node's error. */
const REASONS: Record<string, string> = {
  ENOENT: "there is no such file",
  EACCES: "this user may not read it",
  EISDIR: "it is a folder",
};

/**
 * Reads a file that a setting names.
 * @param setting its name
 * @throws Error whose message is for the terminal: no SettingsError, since the file may be there at the next try
 */
export function readSettingsFile(setting: string, file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    const { code = "", message } = error as NodeJS.ErrnoException;
    throw new Error(`--${setting} ${path.resolve(file)} can't be read: ${REASONS[code] ?? message}`, { cause: error });
  }
}
