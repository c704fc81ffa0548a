import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { buffer } from "node:stream/consumers";
import { gzipSync } from "node:zlib";
import fc from "fast-check";
import { ArchiveFault } from "../../../lib/archive/archive-fault";
import { MAX_TAR_ENTRIES } from "../../../lib/archive/limits";
import { checkTarGz } from "../../../lib/archive/tar-read";
import { packContents } from "../../../lib/archive/tar-write";
import { run } from "../../../scripts/process";
import { tarGz, tarOf } from "../../support/archives";

const LIMIT = 1_000_000;
const check = (bytes: Buffer) => checkTarGz(bytes, LIMIT);
const fault = async (bytes: Buffer): Promise<ArchiveFault> => {
  const thrown = await check(bytes).catch((error) => error);
  expect(thrown).toBeInstanceOf(ArchiveFault);
  return thrown;
};

describe("gzipped tars", () => {
  test("folders, files and links inside the archive are accepted", async () => {
    await check(
      await tarGz({
        "./": { type: "directory" },
        "a/": { type: "directory" },
        "a/f": "text",
        "a/up": { type: "symlink", linkname: "../b" },
        "a/hard": { type: "link", linkname: "a/f" },
        b: "x",
        "a/nowhere": { type: "symlink", linkname: "not/there" },
        absolute: { type: "symlink", linkname: "/etc/passwd" },
        "a/chained": { type: "symlink", linkname: "../absolute/../../.." },
        [`${"long/".repeat(60)}name`]: "y",
      }),
    );
  });

  test.each([
    ["an absolute path", { "/etc/x": "" }, "/etc/x"],
    ["a path that leads out", { ok: "", "a/../../x": "" }, "a/../../x"],
    ["a path that leads up and back", { "a/../b": "" }, "a/../b"],
    ["an entry behind an absolute link", { l: { type: "symlink", linkname: "/etc" }, "l/passwd": "" }, "l"],
    ["a folder and a link of one name", { "l/": { type: "directory" }, l: { type: "symlink", linkname: "x" } }, "l"],
    ["an owner that is no id", { f: { type: "directory", pax: { uid: "4294967295" } } }, "f"],
    ["a sparse file", { "GNUSparseFile.1/f": { type: "directory", pax: { "GNU.sparse.major": "1", "GNU.sparse.name": "f" } } }, "f"],
    ["a link that leads out", { "a/l": { type: "symlink", linkname: "../../x" } }, "a/l"],
    [
      "a link that leads out through another",
      { "a/b/back": { type: "symlink", linkname: "../.." }, l: { type: "symlink", linkname: "a/b/back/.." } },
      "l",
    ],
    ["links in a circle", { a: { type: "symlink", linkname: "b/x" }, b: { type: "symlink", linkname: "a/x" } }, "a"],
    ["an entry behind a link", { d: { type: "symlink", linkname: "e" }, "d/f": "" }, "d"],
    ["a hard link to what isn't in it", { h: { type: "link", linkname: "/etc/passwd" } }, "h"],
    ["a hard link to a link", { s: { type: "symlink", linkname: "x" }, h: { type: "link", linkname: "s" } }, "h"],
    ["a device", { dev: { type: "character-device", devmajor: 1, devminor: 3 } }, "dev"],
    ["a pipe", { pipe: { type: "fifo" } }, "pipe"],
    ["a root that is a link", { ".": { type: "symlink", linkname: "x" } }, "."],
    ["a name that is too long", { ["n".repeat(256)]: "" }, "n".repeat(100)],
  ] as const)("%s is refused, and the entry is named", async (_what, entries, entry) => {
    expect((await fault(await tarGz(entries))).entry).toBe(entry);
  });

  test.each([
    ["../../../etc", "ok"],
    ["ok", "../../../etc"],
    ["/etc", "ok"],
  ])("two links of one name are refused: to %s and to %s", async (first, second) => {
    const links = [first, second].map((linkname) => ({ name: "l", type: "symlink" as const, linkname }));
    expect(await fault(gzipSync(await tarOf(links)))).toMatchObject({ message: "has two links of one name", entry: "l" });
  });

  test("a sparse file as GNU tar packs it is refused in every format of it, with its name", async () => {
    const folder = mkdtempSync(path.join(tmpdir(), "docker-server-sparse-"));
    try {
      writeFileSync(path.join(folder, "holes"), "begin");
      truncateSync(path.join(folder, "holes"), 500_000);
      for (const format of [
        ["--format=pax", "--sparse-version=1.0"],
        ["--format=pax", "--sparse-version=0.1"],
        ["--format=pax", "--sparse-version=0.0"],
        ["--format=gnu"],
      ]) {
        const packed = path.join(folder, "packed.tgz");
        await run("tar", ["-C", folder, "--sparse", ...format, "-czf", packed, "holes"]);
        expect([format, (await fault(readFileSync(packed))).entry]).toEqual([format, "holes"]);
      }
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  test.each([0, 262_143, 262_144, 2_097_152, 4_294_967_294])("the owner %i is repacked unchanged", async (id) => {
    const owner = id > 0o777777 ? { pax: { uid: String(id), gid: String(id) } } : { uid: id, gid: id };
    const archive = gzipSync(await tarOf([{ name: "f", text: "x", ...owner }]));
    const tar = await buffer(packContents([{ path: "/d", mode: undefined, archive }], LIMIT));
    const { stdout } = await run("tar", ["--numeric-owner", "-tvf", "-"], { input: tar });
    expect(stdout).toContain(` ${id}/${id} `);
  });

  test.each(["gnu", "pax"])("an owner with a large id as GNU tar packs it in the format %s is repacked unchanged", async (format) => {
    const folder = mkdtempSync(path.join(tmpdir(), "docker-server-owner-"));
    try {
      writeFileSync(path.join(folder, "f"), "x");
      const packed = path.join(folder, "packed.tgz");
      const owner = ["--owner=:4294967294", "--group=:2097152"];
      await run("tar", ["-C", folder, `--format=${format}`, ...owner, "-czf", packed, "f"]);
      const tar = await buffer(packContents([{ path: "/d", mode: undefined, archive: readFileSync(packed) }], LIMIT));
      expect((await run("tar", ["--numeric-owner", "-tvf", "-"], { input: tar })).stdout).toContain(" 4294967294/2097152 ");
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  test("too many entries are refused", async () => {
    const many = Array.from({ length: MAX_TAR_ENTRIES + 1 }, (_, index) => ({ name: `d${index}`, type: "directory" as const }));
    await expect(checkTarGz(gzipSync(await tarOf(many)), 100_000_000)).rejects.toThrow(`more than ${MAX_TAR_ENTRIES} entries`);
  });

  test("a decompression bomb is refused at the size limit", async () => {
    const bomb = gzipSync(await tarOf([{ name: "zeros", text: "\0".repeat(50_000_000) }]));
    expect(bomb.length).toBeLessThan(100_000);
    expect(await fault(bomb)).toMatchObject({ message: `unpacks to more than ${LIMIT} bytes`, entry: "zeros" });
  });

  test("truncated, damaged, plain and non-tar data is refused", async () => {
    const whole = await tarGz({ a: "text".repeat(1000), b: "more" });
    await fault(whole.subarray(0, whole.length - 20));
    await fault(whole.subarray(0, 30));
    const damaged = Buffer.from(whole);
    damaged.fill(0xaa, 20, 40);
    await fault(damaged);
    await fault(gzipSync("this is no tar at all".repeat(100)));
    await fault(await tarOf([{ name: "a", text: "plain" }]));
    await fault(gzipSync((await tarOf([{ name: "a", text: "x".repeat(5000) }])).subarray(0, 2000)));
    await fault(Buffer.alloc(0));
  });

  const part = fc.constantFrom("..", ".", "", "a", "b", "c", "/");
  const name = fc.array(part, { minLength: 1, maxLength: 5 }).map((parts) => parts.join("/"));
  const entry = fc.record({
    name,
    type: fc.constantFrom("file" as const, "directory" as const, "symlink" as const, "link" as const),
    linkname: name,
  });

  test("an accepted archive never unpacks outside its folder, for any names and links", async () => {
    const scratch = mkdtempSync(path.join(tmpdir(), "docker-server-archive-"));
    let passed = 0;
    try {
      await fc.assert(
        fc.asyncProperty(fc.array(entry, { minLength: 1, maxLength: 5 }), async (entries) => {
          const made = entries.map(({ type, linkname, ...rest }) => ({
            ...rest,
            type,
            ...(type === "symlink" || type === "link" ? { linkname: linkname || "." } : { text: type === "file" ? "x" : "" }),
          }));
          const archive = gzipSync(await tarOf(made));
          const ok = await check(archive).then(
            () => true,
            (error) => {
              expect(error).toBeInstanceOf(ArchiveFault);
              return false;
            },
          );
          if (!ok) return;
          passed += 1;
          const tar = await buffer(packContents([{ path: "/deep/in", mode: undefined, folderMode: 0o755, archive }], LIMIT));
          const folder = mkdtempSync(path.join(scratch, "x-"));
          mkdirSync(path.join(folder, "root"));
          // With -P it takes names and links as they are.
          await run("tar", ["-xPf", "-", "-C", path.join(folder, "root")], { input: tar });
          expect(readdirSync(folder)).toEqual(["root"]);
          expect(readdirSync(path.join(folder, "root"))).toEqual(["deep"]);
          expect(readdirSync(path.join(folder, "root/deep"))).toEqual(["in"]);
          rmSync(folder, { recursive: true });
        }),
        { numRuns: 300 },
      );
    } finally {
      rmSync(scratch, { recursive: true, force: true });
    }
    expect(passed).toBeGreaterThan(5);
  });
});
