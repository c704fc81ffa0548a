import { readFileSync } from "node:fs";
import path from "node:path";

/** The command lines of the README's fenced blocks. */
export function readmeCommands(): string[] {
  const readme = readFileSync(path.resolve(__dirname, "../../README.md"), "utf8");
  const blocks = [...readme.matchAll(/^```\n(.*?)^```$/gms)].map(([, block = ""]) => block);
  return blocks.flatMap((block) => block.trim().split("\n"));
}

/** The README's command with this beginning. Throws an Error if there isn't exactly one. */
export function readmeCommand(beginning: string): string {
  const found = readmeCommands().filter((line) => line.startsWith(beginning));
  if (found.length !== 1) throw new Error(`${found.length} commands of the README begin with ${beginning}`);
  return found[0] as string;
}
