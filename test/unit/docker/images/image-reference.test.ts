import fc from "fast-check";
import { isImageReference, withDefaultTag } from "../../../../lib/docker/images/image-reference";

const HEX = "0123456789abcdef".repeat(4);
const DIGEST = `sha256:${HEX}`;

test.each([
  ["redis", "redis:latest"],
  ["redis:7", "redis:7"],
  ["library/redis", "library/redis:latest"],
  ["evgy/dockerserver:1.8.5", "evgy/dockerserver:1.8.5"],
  ["localhost:5000/busybox", "localhost:5000/busybox:latest"],
  ["localhost:5000/busybox:1", "localhost:5000/busybox:1"],
  ["localhost:5000/a/b-c/d__e.f_g:A.b-C_1", "localhost:5000/a/b-c/d__e.f_g:A.b-C_1"],
  ["Registry.Example.COM/app", "Registry.Example.COM/app:latest"],
  ["[::1]:5000/app", "[::1]:5000/app:latest"],
  ["127.0.0.1:5000/app", "127.0.0.1:5000/app:latest"],
  [`redis@${DIGEST}`, `redis@${DIGEST}`],
  [`host:5000/team/app:1.2@${DIGEST}`, `host:5000/team/app:1.2@${DIGEST}`],
  [DIGEST, DIGEST],
  [HEX.slice(0, 12), `${HEX.slice(0, 12)}:latest`],
  [`app:${"t".repeat(128)}`, `app:${"t".repeat(128)}`],
  ["a".repeat(255), `${"a".repeat(255)}:latest`],
  [`${"a".repeat(255)}:${"t".repeat(128)}@${DIGEST}`, `${"a".repeat(255)}:${"t".repeat(128)}@${DIGEST}`],
])("%.90s is a reference and becomes %.90s with its default tag", (text, tagged) => {
  expect(isImageReference(text)).toBe(true);
  expect(withDefaultTag(text)).toBe(tagged);
});

test.each([
  "",
  " ",
  "Redis",
  "library/Redis",
  "-v",
  "--privileged",
  "-",
  "a b",
  "redis ",
  "redis\n",
  "\nredis",
  "redis:",
  "redis:-1",
  "redis:a b",
  `app:${"t".repeat(129)}`,
  "a".repeat(256),
  `${"a".repeat(250)}/${"b".repeat(10)}`,
  "/redis",
  "redis/",
  "a//b",
  "../etc/passwd",
  "a/../b",
  "a/-b",
  "-host/app",
  "host:port/app",
  "host:5000/",
  "a..b",
  "a___b",
  "_a",
  "redis@",
  "redis@sha256",
  `redis@sha256:${HEX.slice(1)}`,
  `redis@sha256:${HEX}0`,
  `redis@sha256:${HEX.toUpperCase()}`,
  `redis@md5:${HEX}`,
  `redis@${DIGEST}@${DIGEST}`,
  `redis@${DIGEST}:7`,
  `@${DIGEST}`,
  "https://host/app",
  "$(id)",
  "a;b",
  "a'b",
  "é",
  "redis:é",
  "a\0b",
  "a?x=1",
  "a#b",
  "a%20b",
])("%j is not a reference", (text) => {
  expect(isImageReference(text)).toBe(false);
  expect(() => withDefaultTag(text)).toThrow(expect.objectContaining({ code: "INVALID_REFERENCE", status: 400 }));
});

const alphanumeric = fc.stringMatching(/^[a-z0-9]{1,8}$/);
const part = fc
  .tuple(alphanumeric, fc.array(fc.tuple(fc.constantFrom(".", "_", "__", "-", "---"), alphanumeric), { maxLength: 2 }))
  .map(([first, more]) => first + more.map((each) => each.join("")).join(""));
const host = fc.constantFrom("", "localhost/", "localhost:5000/", "a.example.org/", "10.99.0.1:443/", "[fe80::1]:5000/");
const name = fc.tuple(host, fc.array(part, { minLength: 1, maxLength: 3 })).map(([first, parts]) => first + parts.join("/"));
const tag = fc.option(fc.stringMatching(/^\w[\w.-]{0,20}$/), { nil: undefined });
const digest = fc.constantFrom(undefined, DIGEST);

test("every text of the grammar is a reference, and a tag is added only without tag and digest", () => {
  fc.assert(
    fc.property(name, tag, digest, (path, version, hash) => {
      const text = path + (version === undefined ? "" : `:${version}`) + (hash === undefined ? "" : `@${hash}`);
      expect(isImageReference(text)).toBe(true);
      expect(withDefaultTag(text)).toBe(version === undefined && hash === undefined ? `${text}:latest` : text);
      expect(withDefaultTag(withDefaultTag(text))).toBe(withDefaultTag(text));
    }),
  );
});

test("a reference never begins with a dash and contains no shell syntax or line break", () => {
  const pieces = fc.constantFrom("a", "B", "-", "_", ".", "/", ":", "@", "5000", "\n", " ", "$", "'", "é", DIGEST, "\0", "[", "]");
  const text = fc.oneof(
    fc.string({ unit: "binary" }),
    fc.array(pieces, { maxLength: 10 }).map((parts) => parts.join("")),
  );
  fc.assert(
    fc.property(text, (given) => {
      if (isImageReference(given)) expect(given).toMatch(/^[A-Za-z0-9[][\w.:/@[\]-]*$/);
      return true;
    }),
    { numRuns: 2000 },
  );
});

test("a long invalid text is refused without delay", () => {
  for (const text of [`${"a".repeat(100_000)}!`, `${"a-".repeat(50_000)}`, `${"a.a".repeat(30_000)}:`, `${"a/".repeat(50_000)}A`]) {
    expect(isImageReference(text)).toBe(false);
  }
});
