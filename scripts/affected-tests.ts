import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import path from "node:path";

/**
 * Runs the tests that a change can affect. Usage: affected-tests.ts [BASE]; BASE is the commit that the work began at (main).
 * Unit tests are found by their imports. The other tests start the built program, so they are found by folder: test/docker,
 * test/cluster and test/load mirror lib. Code that is used everywhere (bin, config, scripts, test/support) affects all tests.
 */
const base = process.argv[2] ?? "main";
const changed = [
  git("diff", "--name-only", `${base}...HEAD`),
  git("diff", "--name-only", "HEAD"),
  git("ls-files", "--others", "--exclude-standard"),
]
  .flat()
  .filter((file) => /\.(ts|js|py|rb|go|json)$/.test(file));

const everywhere = /^(bin|config|scripts|test\/support)\/|^package(-lock)?\.json$|^jest\.config\.js$/;
if (changed.some((file) => everywhere.test(file))) {
  runJest([]);
} else if (changed.length > 0) {
  const sources = changed.filter((file) => /^(lib|test)\//.test(file) && existsSync(file));
  runJest(["--selectProjects", "unit", "--passWithNoTests", "--findRelatedTests", ...sources]);
  const folders = [...new Set(changed.flatMap(mirrored))].filter((folder) => existsSync(folder));
  const tests = changed.filter((file) => /^test\/(docker|cluster|load)\/.*\.test\.ts$/.test(file) && existsSync(file));
  if (folders.length + tests.length > 0) runJest(["--selectProjects", "docker", "cluster", "load", "--", ...folders, ...tests]);
}

function git(...args: string[]): string[] {
  const { status, stdout, stderr } = spawnSync("git", args, { encoding: "utf8" });
  if (status !== 0) throw new Error(stderr.trim());
  return stdout.split("\n").filter(Boolean);
}

/** The folders of the tests that start the program and mirror a source file's folder. */
function mirrored(file: string): string[] {
  const folder = /^lib\/(.*)\/[^/]+$/.exec(file)?.[1];
  if (folder === undefined) return file.startsWith("lib/") ? ["test/docker", "test/cluster"] : [];
  const topFolder = folder.split("/")[0] ?? "";
  return topFolder === "cluster" ? [path.join("test", folder), "test/cluster/surfaces"] : [path.join("test/docker", topFolder)];
}

function runJest(args: string[]): void {
  const { status } = spawnSync("npx", ["jest", ...args], { stdio: "inherit" });
  if (status !== 0) process.exitCode = status ?? 1;
}
