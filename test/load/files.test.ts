import { randomBytes } from "node:crypto";
import { once } from "node:events";
import net from "node:net";
import { buffer, text } from "node:stream/consumers";
import { setTimeout as sleep } from "node:timers/promises";
import { ZipFile } from "yazl";
import { container, download, sha, upload } from "../support/files";
import { TOKEN } from "../support/server";
import { type OneNode, residentMemory, startNode } from "../support/single-node";

jest.setTimeout(240_000);

/** What the server may need beyond what it has (MB), whatever the size of what passes through. */
const MORE = 120;
const SIZE = 200_000_000;
const MANY = 20_000;

let node: OneNode;
beforeAll(async () => {
  node = await startNode({ name: "files-large" });
  await container(node, "large", true);
});
afterAll(() => node?.stop());

/** The most memory (MB) that the server had while something went on. */
async function mostMemory<T>(work: Promise<T>): Promise<{ result: T; most: number }> {
  let over = false;
  const done = work.finally(() => {
    over = true;
  });
  let most = 0;
  while (!over) {
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
  const content = Buffer.concat(Array.from({ length: SIZE / block.length }, () => block));
  const archive = await zipped((zip) => zip.addBuffer(content, "big", { compress: false }));
  const before = residentMemory(node.server.process.pid);
  const up = await mostMemory(upload(node, "large", archive));
  expect(up.result).toMatchObject({ status: 200, json: { files: 1, bytes: SIZE } });
  const down = await mostMemory(download(node, "large", "download", "big"));
  expect(sha(down.result.bytes)).toBe(sha(content));
  const zip = await mostMemory(download(node, "large", "download-zip", "/app"));
  expect(zip.result.bytes.length).toBeGreaterThan(1_000_000);
  for (const { most } of [up, down, zip]) expect(most - before).toBeLessThan(MORE);
});

test("a client that takes nothing in holds the server's memory at what it is", async () => {
  const before = residentMemory(node.server.process.pid);
  const leave = new AbortController();
  const headers = { Authorization: `Bearer ${TOKEN}` };
  await fetch(`${node.server.url}/containers/large/download?path=big`, { headers, signal: leave.signal });
  const { most } = await mostMemory(sleep(2000));
  leave.abort();
  expect(most - before).toBeLessThan(MORE);
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
  const { result, most } = await mostMemory(sent());
  expect(result).toMatch(/^HTTP\/1\.1 400 .*INVALID_ARCHIVE/s);
  // What two million pieces take is more than 1,000.
  expect(most - before).toBeLessThan(3 * MORE);
});

test("20,000 small files go in and come out", async () => {
  const archive = await zipped((zip) => {
    for (let index = 0; index < MANY; index++) zip.addBuffer(Buffer.from(`file ${index}`), `many/${index % 100}/${index}.txt`);
  });
  const before = residentMemory(node.server.process.pid);
  const { result, most } = await mostMemory(upload(node, "large", archive));
  expect(result).toMatchObject({ status: 200, json: { files: MANY } });
  expect(most - before).toBeLessThan(MORE);
  expect(await node.docker("exec", "large", "sh", "-c", "find /app/many -type f | wc -l; cat /app/many/99/19999.txt")).toBe(
    `${MANY}\nfile 19999`,
  );
  const { bytes } = await download(node, "large", "download-zip", "many");
  const again = await upload(node, "large", bytes, { query: "?path=/copy" });
  expect(again).toMatchObject({ status: 200, json: { files: MANY } });
  expect((await node.request("GET", "/containers/large/files?path=many")).json).toMatchObject({ complete: true, entries: { length: 100 } });
});
