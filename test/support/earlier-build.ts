import { cpSync, mkdirSync, renameSync, rmSync, symlinkSync } from "node:fs";
import path from "node:path";
import { runOrThrow } from "../../scripts/process";

const ROOT = path.resolve(__dirname, "../..");
/** A build from before messages between nodes carried quotas, and before nodes bid for Docker API creates. */
const EARLIER_COMMIT = "11dbce40224a1c64a2378a92c4a958ab76617fe3";

/**
 * Builds the program as it was at an earlier commit.
 * @param folder where the sources go
 * @param options.revision as git knows it
 * @param options.hasOwnPackages whether with the packages that it names, which takes a minute more, instead of today's
 * @returns the folder `dist`
 * @throws if the clone lacks the commit
 */
export async function buildEarlier(folder: string, { revision = EARLIER_COMMIT, hasOwnPackages = false } = {}): Promise<string> {
  mkdirSync(folder, { recursive: true });
  const commit = (await runOrThrow("git", ["-C", ROOT, "rev-parse", "--verify", "--end-of-options", `${revision}^{commit}`])).trim();
  const archive = path.join(folder, "sources.tar");
  await runOrThrow("git", ["-C", ROOT, "archive", "--output", archive, commit]);
  await runOrThrow("tar", ["-xf", archive, "-C", folder]);
  if (hasOwnPackages) await runOrThrow("npm", ["ci", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", folder]);
  else symlinkSync(path.join(ROOT, "node_modules"), path.join(folder, "node_modules"));
  await runOrThrow("npm", ["run", "build", "--prefix", folder]);
  return path.join(folder, "dist");
}

/** Puts another build in the place of an installed one by renaming folders, as npm does. */
export function replaceDist(installed: string, dist: string): void {
  cpSync(dist, `${installed}.new`, { recursive: true });
  renameSync(installed, `${installed}.old`);
  renameSync(`${installed}.new`, installed);
  rmSync(`${installed}.old`, { recursive: true });
}
