import { existsSync, readdirSync } from "node:fs";
import path from "node:path";

/** Debian's package `libfaketime` installs its library below this folder, in a folder of the architecture. */
const FOLDER = "/usr/lib";
const LIBRARY = "faketime/libfaketime.so.1";

/**
 * Command in front of a program that shifts its wall clock; timers and the monotonic clock are unaffected.
 * @param shift such as `-1h`
 * @throws Error if the library isn't installed
 */
export function faketime(shift: string): string[] {
  const library = readdirSync(FOLDER)
    .map((kind) => path.join(FOLDER, kind, LIBRARY))
    .find((file) => existsSync(file));
  if (library === undefined) throw new Error("libfaketime isn't there: it comes with the Debian package faketime");
  return ["env", `LD_PRELOAD=${library}`, `FAKETIME=${shift}`, "FAKETIME_DONT_FAKE_MONOTONIC=1", "NO_FAKE_STAT=1"];
}
