import { execFileSync } from "node:child_process";
import { copyFileSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { runOrThrow } from "../../scripts/process";

const ROOT = path.resolve(__dirname, "../..");

/**
 * Copies npm's cache entries of the packages that the build needs, so that `npm ci --offline` can install them elsewhere.
 * Missing entries are downloaded again.
 * @param destination folder of the new cache
 */
export async function copyNpmCache(destination: string): Promise<void> {
  const cache = (await runOrThrow("npm", ["config", "get", "cache"])).trim();
  const packages = buildPackages();
  let files = wantedFiles(cache, packages);
  const missing = packages.filter((each) => !files.has(tarballOf(each)));
  if (missing.length > 0) {
    await runOrThrow("npm", ["cache", "add", ...missing.map(({ name, version }) => `${name}@${version}`)]);
    files = wantedFiles(cache, packages);
  }
  for (const file of new Set([...files.values()].flat())) {
    const copy = path.join(destination, file);
    mkdirSync(path.dirname(copy), { recursive: true });
    copyFileSync(path.join(cache, file), copy);
  }
}

interface Package {
  name: string;
  version: string;
}

/** The packages of `scripts/build-packages.js` that are installed here: those of other platforms are not. */
function buildPackages(): Package[] {
  const folder = mkdtempSync(path.join(tmpdir(), "build-packages-"));
  try {
    execFileSync(process.execPath, [path.join(ROOT, "scripts/build-packages.js"), folder]);
    const needed = readPackages(path.join(folder, "package-lock.json"));
    const found = Object.entries(readPackages(path.join(ROOT, "node_modules/.package-lock.json"))).filter(([place]) => place in needed);
    return found.map(([place, { name, version }]) => ({ name: name ?? place.slice(place.lastIndexOf("node_modules/") + 13), version }));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function readPackages(lockFile: string): Record<string, { name?: string; version: string }> {
  return JSON.parse(readFileSync(lockFile, "utf8")).packages;
}

const tarballOf = ({ name, version }: Package) => `/${name}/-/${path.basename(name)}-${version}.tgz`;

/** Files of the cache by the registry path that they cache: for every package its tarball and its metadata. */
function wantedFiles(cache: string, packages: Package[]): Map<string, string[]> {
  const wanted = new Set(packages.flatMap((each) => [`/${each.name}`, tarballOf(each)]));
  const index = "_cacache/index-v5";
  const found = new Map<string, string[]>();
  for (const name of readdirSync(path.join(cache, index), { recursive: true, encoding: "utf8" })) {
    if (name.split("/").length !== 3) continue;
    const file = path.join(index, name);
    const { key, integrity } = lastEntry(readFileSync(path.join(cache, file), "utf8"));
    const url = key?.slice(key.indexOf("http")) ?? "";
    const pathname = URL.canParse(url) ? decodeURIComponent(new URL(url).pathname) : "";
    if (integrity && wanted.has(pathname)) found.set(pathname, [...(found.get(pathname) ?? []), file, contentFile(integrity)]);
  }
  return found;
}

function lastEntry(text: string): { key?: string; integrity?: string | null } {
  const line = text.trim().split("\n").at(-1) ?? "";
  return JSON.parse(line.slice(line.indexOf("\t") + 1) || "{}");
}

function contentFile(integrity: string): string {
  const [algorithm = "", digest = ""] = (integrity.split(" ")[0] ?? "").split(/-(.*)/);
  const hex = Buffer.from(digest, "base64").toString("hex");
  return path.join("_cacache/content-v2", algorithm, hex.slice(0, 2), hex.slice(2, 4), hex.slice(4));
}
