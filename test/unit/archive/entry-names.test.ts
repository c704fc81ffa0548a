import { Readable } from "node:stream";
import { ArchiveLinks } from "../../../lib/archive/entry-names";
import { Spool } from "../../../lib/archive/spool";
import { checkZipDirectory } from "../../../lib/archive/zip-check";
import { type ZipPart, zipOf } from "../../support/zips";

const DEEP = "A/".repeat(2000);
const LIMIT = 100_000_000;

async function check(parts: ZipPart[]) {
  const spool = Spool.create();
  try {
    await spool.fill(Readable.from([zipOf(parts)]), LIMIT);
    return await checkZipDirectory(spool, LIMIT);
  } finally {
    await spool.close();
  }
}

describe("names in archives", () => {
  test("an archive whose names would take too much memory is refused", async () => {
    const names = Array.from({ length: 500 }, (_, at) => `${at}/${DEEP}f`);
    await expect(check(names.map((name) => ({ name })))).rejects.toThrow("names that are too long altogether");
    const links = new ArchiveLinks();
    expect(() => {
      for (const name of names) links.add("file", name, "");
    }).toThrow("names that are too long altogether");
  });

  test("many files in one deep folder are accepted", async () => {
    const names = Array.from({ length: 1000 }, (_, at) => `${DEEP}${at}`);
    const { files, folders } = await check(names.map((name) => ({ name })));
    expect([files, folders.length, folders[0], folders.at(-1)]).toEqual([1000, 2000, "A", DEEP.slice(0, -1)]);
    const links = new ArchiveLinks();
    for (const name of names) links.add("file", name, "");
    expect(() => links.check()).not.toThrow();
  });

  test("a name that is both a file and a folder is refused, in any order", async () => {
    for (const names of [
      ["a/b", "a/b/c/d"],
      ["a/b/c/d", "a/b"],
    ]) {
      await expect(check(names.map((name) => ({ name })))).rejects.toThrow("a file and a folder of one name");
      const links = new ArchiveLinks();
      for (const name of names) links.add("file", name, "");
      expect(() => links.check()).toThrow("a file and a folder of one name");
    }
  });
});
