import { randomBytes } from "node:crypto";
import { once } from "node:events";
import net from "node:net";
import { buffer, text } from "node:stream/consumers";
import { setTimeout as sleep } from "node:timers/promises";
import { ZipFile } from "yazl";
import { container, download, sha, upload } from "../support/files";
import { TOKEN } from "../support/server";
import { type OneNode, residentMemory, startNode } from "../support/single-node";

/** The server's memory may grow by this much, regardless of the size of the transferred files. */
const EXTRA_MEMORY_MB = 120;
const SIZE_BYTES = 200_000_000;
const FILE_COUNT = 20_000;

let node: OneNode;
beforeAll(async () => {
  node = await startNode({ name: "files-large" });
  await container(node, "large", true);
});
afterAll(() => node?.stop());

/** Runs `work`; its result and the server's peak memory during it, in MB. */
async function peakMemoryMb<T>(work: Promise<T>): Promise<{ result: T; most: number }> {
  let finished = false;
  const done = work.finally(() => {
    finished = true;
  });
  let most = 0;
  while (!finished) {
    most = Math.max(most, residentMemory(node.server.process.pid));
    await sleep(50);
  }
  return { result: await done, most };
}

function zipped(fill: (zip: ZipFile) => void): Promise<Buffer> {
  const zip = new ZipFile();
  fill(zip);
  zip.end();
  return buffer(zip.outputStream);
}

test("a file of 200 MB goes in and comes out whole, and the server needs no more memory for it", async () => {
  const block = randomBytes(1_000_000);
  const content = Buffer.concat(Array.from({ length: SIZE_BYTES / block.length }, () => block));
  const archive = await zipped((zip) => zip.addBuffer(content, "big", { compress: false }));
  const before = residentMemory(node.server.process.pid);
  const up = await peakMemoryMb(upload(node, "large", archive));
  expect(up.result).toMatchObject({ status: 200, json: { files: 1, bytes: SIZE_BYTES } });
  const down = await peakMemoryMb(download(node, "large", "download", "big"));
  expect(sha(down.result.bytes)).toBe(sha(content));
  const zip = await peakMemoryMb(download(node, "large", "download-zip", "/app"));
  expect(zip.result.bytes.length).toBeGreaterThan(1_000_000);
  for (const { most } of [up, down, zip]) expect(most - before).toBeLessThan(EXTRA_MEMORY_MB);
});

test("a client that takes nothing in holds the server's memory at what it is", async () => {
  const before = residentMemory(node.server.process.pid);
  const client = new AbortController();
  const headers = { Authorization: `Bearer ${TOKEN}` };
  await fetch(`${node.server.url}/containers/large/download?path=big`, { headers, signal: client.signal });
  const { most } = await peakMemoryMb(sleep(2000));
  client.abort();
  expect(most - before).toBeLessThan(EXTRA_MEMORY_MB);
});

test("an archive that comes byte by byte needs no memory for each of them", async () => {
  const before = residentMemory(node.server.process.pid);
  const socket = net.connect(node.server.port, "127.0.0.1");
  const answer = text(socket);
  const head = ["POST /containers/large/upload-zip HTTP/1.1", "Host: x", `Authorization: Bearer ${TOKEN}`, "Transfer-Encoding: chunked"];
  socket.write(`${[...head, "Connection: close"].join("\r\n")}\r\n\r\n`);
  const sent = async () => {
    const bytes = "1\r\nX\r\n".repeat(20_000);
    for (let turn = 0; turn < 100; turn++) if (!socket.write(bytes)) await once(socket, "drain");
    socket.write("0\r\n\r\n");
    return answer;
  };
  const { result, most } = await peakMemoryMb(sent());
  expect(result).toMatch(/^HTTP\/1\.1 400 .*INVALID_ARCHIVE/s);
  // Two million separate buffers would take more than 1,000 MB.
  expect(most - before).toBeLessThan(3 * EXTRA_MEMORY_MB);
});

test("20,000 small files go in and come out", async () => {
  const archive = await zipped((zip) => {
    for (let index = 0; index < FILE_COUNT; index++) zip.addBuffer(Buffer.from(`file ${index}`), `many/${index % 100}/${index}.txt`);
  });
  const before = residentMemory(node.server.process.pid);
  const { result, most } = await peakMemoryMb(upload(node, "large", archive));
  expect(result).toMatchObject({ status: 200, json: { files: FILE_COUNT } });
  expect(most - before).toBeLessThan(EXTRA_MEMORY_MB);
  expect(await node.docker("exec", "large", "sh", "-c", "find /app/many -type f | wc -l; cat /app/many/99/19999.txt")).toBe(
    `${FILE_COUNT}\nfile 19999`,
  );
  const { bytes } = await download(node, "large", "download-zip", "many");
  const again = await upload(node, "large", bytes, { query: "?path=/copy" });
  expect(again).toMatchObject({ status: 200, json: { files: FILE_COUNT } });
  expect((await node.request("GET", "/containers/large/files?path=many")).json).toMatchObject({ complete: true, entries: { length: 100 } });
});
