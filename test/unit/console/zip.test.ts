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
  const parts = zipOf(files.map(([name, text]) => ({ name, data: new TextEncoder().encode(text) })));
  expect(await unpack(Buffer.concat(parts))).toEqual(files);
});
