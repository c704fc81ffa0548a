import yauzl from "yauzl";
import { zipOf } from "../../../lib/console/public/zip";

/** The entries of an archive with their content; yauzl checks sizes and checksums. */
async function unpack(archive: Buffer): Promise<[string, string][]> {
  const zip = await yauzl.fromBufferPromise(archive, { lazyEntries: true });
  const found: [string, string][] = [];
  for await (const entry of zip.eachEntry()) {
    const chunks: Buffer[] = [];
    for await (const chunk of await zip.openReadStreamPromise(entry)) chunks.push(chunk as Buffer);
    found.push([entry.fileName, Buffer.concat(chunks).toString()]);
  }
  return found;
}

test("files of any name and content are read back from the archive", async () => {
  const files: [string, string][] = [
    ["a.txt", "content"],
    ["ü <b>.txt", ""],
  ];
  const archive = await zipOf(files.map(([name, text]) => ({ name, data: new Blob([text]) })));
  expect(await unpack(Buffer.from(await archive.arrayBuffer()))).toEqual(files);
});

test("files that the format can't hold are refused before one is read", async () => {
  const data = { size: 2_200_000_000 } as Blob;
  await expect(
    zipOf([
      { name: "a", data },
      { name: "b", data },
    ]),
  ).rejects.toThrow("4 GB");
});
