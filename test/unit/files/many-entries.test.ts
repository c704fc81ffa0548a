import { EventEmitter } from "node:events";
import { Readable } from "node:stream";
import type { Engine } from "../../../lib/docker/engine";
import { AppError } from "../../../lib/errors";
import { listFolder, MAX_READ_ENTRIES } from "../../../lib/files/listing";
import { MAX_LOOKUPS, uploadZip } from "../../../lib/files/upload";
import { tarOf } from "../../support/archives";
import { zipOf } from "../../support/zips";

/** Go's fs.FileMode of a folder. */
const FOLDER_MODE = 2 ** 31;

/** An engine with a container that has every folder that it is asked for; it counts the lookups, and can give out a tar. */
function engineWith({ onLookup, tar }: { onLookup?: () => void; tar?: Readable } = {}) {
  const counts = { lookups: 0, writes: 0 };
  const stat = { mode: FOLDER_MODE, size: 0, mtime: "2024-01-01T00:00:00Z", linkTarget: "" };
  const header = Buffer.from(JSON.stringify(stat)).toString("base64");
  const engine = {
    async stream(method: string) {
      if (method === "GET") return tar;
      counts.lookups += 1;
      onLookup?.();
      return Object.assign(new EventEmitter(), { resume() {}, headers: { "x-docker-container-path-stat": header } });
    },
    async send(tarToWrite: Readable) {
      counts.writes += 1;
      for await (const _ of tarToWrite);
    },
  };
  return { engine: engine as unknown as Engine, counts };
}

const foldersOf = (count: number) => zipOf(Array.from({ length: count }, (_, index) => ({ name: `d${index}/`, mode: 0o040755 })));

function upload(engine: Engine, zip: Buffer, clientSignal = new AbortController().signal) {
  const options = { contentType: "application/zip", folder: "/app", owner: { uid: 0, gid: 0 }, limit: 100_000_000, clientSignal };
  return uploadZip(engine, "id", Readable.from([zip]), options);
}

describe("an upload", () => {
  test("of more folders than can be looked up in the container is 413 with the limit, before one is looked up or written", async () => {
    const { engine, counts } = engineWith();
    const error = await upload(engine, foldersOf(MAX_LOOKUPS + 1)).catch((error: AppError) => error);
    expect(error).toBeInstanceOf(AppError);
    expect(error).toMatchObject({
      code: "CONTENT_TOO_LARGE",
      details: { limit: MAX_LOOKUPS },
      message: expect.stringContaining("new folder"),
    });
    expect(counts).toEqual({ lookups: 1, writes: 0 }); // of /app itself
  });

  test("looks nothing up, and writes nothing, once its client has left", async () => {
    const client = new AbortController();
    let seen = 0;
    const { engine, counts } = engineWith({ onLookup: () => ++seen === 20 && client.abort() });
    await expect(upload(engine, foldersOf(1000), client.signal)).rejects.toThrow();
    expect(counts.lookups).toBeLessThan(40);
    expect(counts.writes).toBe(0);
  });
});

test("a listing of a folder with very many entries below it ends at a limit, and says that it is not complete", async () => {
  const [entry, root] = [await tarOf([{ name: "app/sub/f", text: "" }]), await tarOf([{ name: "app/", type: "directory" }])];
  const thousandEntries = Buffer.concat(Array.from({ length: 1000 }, () => entry.subarray(0, 512)));
  let sentEntries = 0;
  const tar = Readable.from(
    (function* () {
      yield root.subarray(0, 512);
      for (; sentEntries < 2 * MAX_READ_ENTRIES; sentEntries += 1000) yield thousandEntries;
    })(),
  );
  const { engine } = engineWith({ tar });
  expect(await listFolder(engine, "id", "/app", new AbortController().signal)).toMatchObject({
    path: "/app",
    entries: [],
    complete: false,
  });
  expect(sentEntries).toBeLessThan(2 * MAX_READ_ENTRIES);
});
