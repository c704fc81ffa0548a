import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import path from "node:path";
import { filesIn, ROOT, sourceOf } from "../../support/unit/sources";

// Joined from parts, because this file is checked too.
const hosts = [
  ["registry", "npmjs", "org"],
  ["registry", "yarnpkg", "com"],
  ["deb", "debian", "org"],
  ["security", "debian", "org"],
  ["archive", "ubuntu", "com"],
].map((parts) => parts.join("."));
const paths = [
  ["", "work", "main"],
  ["", "work", "shared"],
  ["shared", "reference"],
  ["", "var", "tmp", "dev"],
].map((parts) => parts.join("/"));
const FORBIDDEN = [...hosts, ...paths, [".", "library"].join("")];

/** The forbidden words that a text contains. */
function forbiddenIn(text: string): string[] {
  const lower = text.toLowerCase();
  return FORBIDDEN.filter((word) => lower.includes(word));
}

/** The files under version control; all files if this is no repository. */
function trackedFiles(): string[] {
  const { status, stdout } = spawnSync("git", ["ls-files", "-z"], { cwd: ROOT, encoding: "utf8" });
  const files = status === 0 ? stdout.split("\0").filter(Boolean) : filesIn("");
  return files.filter((file) => existsSync(path.join(ROOT, file)));
}

test("no file names a package registry or a path of one developer's machine", () => {
  const files = trackedFiles();
  expect(files).toEqual(expect.arrayContaining(["package.json", "lib/app.ts", "test/support/server.ts"]));
  expect(files.flatMap((file) => forbiddenIn(sourceOf(file)).map((word) => `${file}: ${word}`))).toEqual([]);
});

test("a forbidden word is found inside a text in any case", () => {
  for (const word of FORBIDDEN) expect(forbiddenIn(`see https://${word.toUpperCase()}/x`)).toEqual([word]);
});

test("no file holds a private key", () => {
  const key = /^-----BEGIN [A-Z ]*PRIVATE KEY-----$/m;
  expect("-----BEGIN EC PRIVATE KEY-----").toMatch(key);
  expect(trackedFiles().filter((file) => key.test(sourceOf(file)))).toEqual([]);
});
