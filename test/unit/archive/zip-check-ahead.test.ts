import { randomBytes } from "node:crypto";
import { PassThrough, Readable } from "node:stream";
import fc from "fast-check";
import { Spool } from "../../../lib/archive/spool";
import { checkZipContent, checkZipDirectory } from "../../../lib/archive/zip-check";
import { checkAhead } from "../../../lib/archive/zip-check-ahead";
import { openZip, zipEntries } from "../../../lib/archive/zip-read";
import { type ZipPart, zipOf } from "../../support/zips";

const LIMIT = 50_000_000;
const noise = randomBytes(3_000_000);
const part = (name: string, more: Partial<ZipPart> = {}): ZipPart => ({ name, data: noise, method: 8, ...more });

/** The names of the files that were checked early. */
async function checkedAhead(archive: Buffer, limit = LIMIT): Promise<string[]> {
  const spool = Spool.create();
  try {
    const [isChecked] = await Promise.all([checkAhead(spool, limit), spool.fill(Readable.from([archive]), LIMIT)]);
    const names: string[] = [];
    for await (const { name, entry } of zipEntries(await openZip(spool))) if (isChecked(entry)) names.push(name);
    return names;
  } finally {
    await spool.close();
  }
}

async function checkResult(archive: Buffer, isAhead: boolean): Promise<string> {
  const spool = Spool.create();
  try {
    const found = isAhead ? checkAhead(spool, LIMIT) : undefined;
    await spool.fill(Readable.from([archive]), LIMIT);
    await checkZipDirectory(spool, LIMIT);
    await checkZipContent(spool, (await found) ?? (() => false));
    return "good";
  } catch (error) {
    return (error as Error).message;
  } finally {
    await spool.close();
  }
}

describe("checkAhead", () => {
  test("large files are checked during the upload", async () => {
    const parts = [part("a"), part("b", { method: 0 }), part("c", { flags: 0x808 }), part("d")];
    const archive = zipOf(parts);
    const source = new PassThrough();
    const spool = Spool.create();
    try {
      const filled = spool.fill(source, LIMIT);
      source.write(archive.subarray(0, -1_000_000));
      const isChecked = await checkAhead(spool, LIMIT);
      source.end(archive.subarray(-1_000_000));
      await filled;
      const checked: boolean[] = [];
      for await (const { entry } of zipEntries(await openZip(spool))) checked.push(isChecked(entry));
      expect(checked).toEqual([true, true, false, false]);
    } finally {
      await spool.close();
    }
  });

  test("a wrong checksum or size ends the early check, and a directory mismatch undoes it", async () => {
    const behind = part("behind");
    expect(await checkedAhead(zipOf([part("good"), behind]))).toEqual(["good", "behind"]);
    for (const wrong of [{ crc: 1 }, { size: 2_999_999 }, { size: 3_000_001 }, { packedSize: 1_000_000 }])
      expect([wrong, await checkedAhead(zipOf([part("good"), part("wrong", wrong), behind]))]).toEqual([wrong, ["good"]]);
    const archive = zipOf([part("good"), part("other")]);
    // The checksum is at offset 16 of a directory entry.
    const last = archive.lastIndexOf(Buffer.from("PK\x01\x02", "latin1"));
    archive.writeUInt32LE(archive.readUInt32LE(last + 16) + 1, last + 16);
    expect(await checkedAhead(archive)).toEqual(["good"]);
  });

  test("an entry with more packed bytes than the archive has is not checked early", async () => {
    // Deflated data marks its own end; the remaining bytes would be the directory and lie beyond the archive's end.
    const archive = zipOf([part("good"), part("long", { packedSize: 8_000_000 })]);
    expect(await checkedAhead(archive)).toEqual(["good"]);
    expect(await checkResult(archive, true)).toBe(await checkResult(archive, false));
  });

  test("the early check stops at the size limit and at decompression bombs", async () => {
    expect(await checkedAhead(zipOf([part("a"), part("b"), part("c")]), 7_000_000)).toEqual(["a", "b"]);
    expect(await checkedAhead(zipOf([part("bomb", { data: Buffer.alloc(120_000_000) })]), 200_000_000)).toEqual([]);
  });

  test("the early check never changes the result, for any archive", async () => {
    const parts = fc.array(fc.record({ size: fc.integer({ min: 0, max: 200_000 }), method: fc.constantFrom(0, 8), zeros: fc.boolean() }), {
      minLength: 1,
      maxLength: 4,
    });
    const changes = fc.array(
      fc.record({ at: fc.double({ min: 0, max: 1, noNaN: true }), inDirectory: fc.boolean(), by: fc.integer({ min: 1, max: 255 }) }),
      {
        maxLength: 2,
      },
    );
    await fc.assert(
      fc.asyncProperty(parts, changes, async (described, changed) => {
        const archive = zipOf(
          described.map(({ size, method, zeros }, at) => ({
            name: `f${at}`,
            data: zeros ? Buffer.alloc(size) : noise.subarray(at, at + size),
            method,
          })),
        );
        const directory = archive.indexOf(Buffer.from("PK\x01\x02", "latin1"));
        for (const { at, inDirectory, by } of changed) {
          // Most bytes are content, so half of the changes are made to the directory.
          const from = inDirectory ? directory : 0;
          const offset = from + Math.floor(at * (archive.length - 1 - from));
          archive[offset] = ((archive[offset] as number) + by) % 256;
        }
        expect(await checkResult(archive, true)).toBe(await checkResult(archive, false));
      }),
      { numRuns: 150 },
    );
  });
});
