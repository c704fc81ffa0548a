import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";

export const ROOT = path.resolve(__dirname, "../../..");

/** Folders that hold no sources of the project. */
const FOREIGN = new Set(["node_modules", "dist", "logs", "coverage", ".git"]);

/** All files below a folder, as paths from the root of the project, without dependencies and build output. */
export function filesIn(folder: string): string[] {
  return readdirSync(path.join(ROOT, folder), { withFileTypes: true }).flatMap((entry) => {
    const name = path.posix.join(folder, entry.name);
    if (FOREIGN.has(entry.name)) return [];
    return entry.isDirectory() ? filesIn(name) : entry.isFile() ? [name] : [];
  });
}

/** The TypeScript sources of the program itself. */
export function programFiles(): string[] {
  return ["bin", "config", "lib"].flatMap(filesIn).filter((file) => file.endsWith(".ts"));
}

/** A file of the project as text. */
export function sourceOf(file: string): string {
  return readFileSync(path.join(ROOT, file), "utf8");
}
