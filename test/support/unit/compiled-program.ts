import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { ROOT } from "./sources";

/** The program, bundled as it is shipped. */
export interface CompiledProgram {
  /** Folder of the bundles. */
  folder: string;
  /** Path of the script that starts it. */
  file: string;
  remove(): void;
}

/** Bundles the sources into a new folder where no package can be found. */
export function compileProgram(): CompiledProgram {
  const parent = mkdtempSync(path.join(tmpdir(), "docker-server-program-"));
  // Compiled code is kept beside it.
  const folder = path.join(parent, "dist");
  execFileSync(process.execPath, [path.join(ROOT, "scripts/build.js"), folder]);
  return { folder, file: path.join(folder, "bin/docker-server.js"), remove: () => rmSync(parent, { recursive: true, force: true }) };
}
