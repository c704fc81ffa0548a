import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import path from "node:path";
import { filesIn, ROOT, sourceOf } from "../../support/unit/sources";

// Put together from parts, since this file is looked at too.
const hosts = [
  ["registry", "npmjs", "org"],
  ["registry", "yarnpkg", "com"],
  ["deb", "debian", "org"],
  ["security", "debian", "org"],
  ["archive", "ubuntu", "com"],
].map((parts) => parts.join("."));
const places = [
  ["", "work", "main"],
  ["", "work", "shared"],
  ["shared", "reference"],
  ["", "var", "tmp", "dev"],
].map((parts) => parts.join("/"));
const FORBIDDEN = [...hosts, ...places, [".", "library"].join("")];

/** The forbidden words that a text holds. */
function foundIn(text: string): string[] {
  const lower = text.toLowerCase();
  return FORBIDDEN.filter((word) => lower.includes(word));
}

/** What is under version control; in a copy without it, everything. */
function trackedFiles(): string[] {
  const { status, stdout } = spawnSync("git", ["ls-files", "-z"], { cwd: ROOT, encoding: "utf8" });
  const files = status === 0 ? stdout.split("\0").filter(Boolean) : filesIn("");
  return files.filter((file) => existsSync(path.join(ROOT, file)));
}

test("no file names a package registry or a path of one developer's machine", () => {
  const files = trackedFiles();
  expect(files).toEqual(expect.arrayContaining(["package.json", "lib/app.ts", "test/support/server.ts"]));
  expect(files.flatMap((file) => foundIn(sourceOf(file)).map((word) => `${file}: ${word}`))).toEqual([]);
});

test("such words are found wherever they stand", () => {
  for (const word of FORBIDDEN) expect(foundIn(`see https://${word.toUpperCase()}/x`)).toEqual([word]);
});
