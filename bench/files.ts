import { randomBytes } from "node:crypto";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import http from "node:http";
import path from "node:path";
import { buffer } from "node:stream/consumers";
import { pack } from "tar-stream";
import { ZipFile } from "yazl";
import { type Bed, CREDENTIALS } from "./bed";
import { type Comparison, compareTimes, type Task } from "./compare";
import { newContainer } from "./container";

const BLOCK_BYTES = 1_000_000;
const BLOCK_COUNT = 200;
const SMALL_FILE_COUNT = 20_000;

interface Content {
  title: string;
  rounds: number;
  /** entries are deflated; else stored */
  deflated: boolean;
  files: { name: string; bytes: Buffer }[];
}

/** Copies files into a container: as a zip through this server, as a tar through the Engine API, with `docker cp`. */
export async function benchFiles(bed: Bed): Promise<Comparison[]> {
  const noise = repeatBlock(randomBytes(BLOCK_BYTES));
  const contents: Content[] = [
    { title: "200 MB of random bytes, stored", rounds: 6, deflated: false, files: [{ name: "big", bytes: noise }] },
    { title: "200 MB of random bytes, deflated", rounds: 6, deflated: true, files: [{ name: "big", bytes: noise }] },
    { title: "200 MB of text, deflated", rounds: 6, deflated: true, files: [{ name: "big", bytes: repeatBlock(textBlock()) }] },
    {
      title: "20,000 small files",
      rounds: 2,
      deflated: true,
      files: Array.from({ length: SMALL_FILE_COUNT }, (_, index) => ({
        name: `${index % 100}/${index}`,
        bytes: Buffer.from(`file ${index}\n`),
      })),
    },
  ];
  const comparisons: Comparison[] = [];
  for (const content of contents) comparisons.push(await benchContent(bed, content));
  return comparisons;
}

async function benchContent(bed: Bed, { title, rounds, deflated, files }: Content): Promise<Comparison> {
  const folder = path.join(bed.engine.folder, "files");
  for (const { name, bytes } of files) {
    mkdirSync(path.dirname(path.join(folder, name)), { recursive: true });
    writeFileSync(path.join(folder, name), bytes);
  }
  const zip = await zipOf(files, deflated);
  const tar = await tarOf(files);
  const task = (work: (id: string) => Promise<unknown>): Task<string> => ({
    async prepare() {
      const id = await newContainer(bed, ["sleep", "600"], false);
      await bed.cli(["cp", path.join(folder, "..", "empty"), `${id}:/app`]);
      return id;
    },
    work,
    cleanUp: async (id) => void (await bed.raw.ask("DELETE", `/containers/${id}?force=1`)),
  });
  mkdirSync(path.join(folder, "..", "empty"), { recursive: true });
  const { port } = bed.server;
  const tasks = {
    ours: task((id) => send({ host: "127.0.0.1", port, method: "POST", path: `/containers/${id}/upload-zip` }, "application/zip", zip)),
    raw: task((id) =>
      send({ socketPath: bed.engine.socket, method: "PUT", path: `/containers/${id}/archive?path=/app` }, "application/x-tar", tar),
    ),
    cli: task((id) => bed.cli(["cp", `${folder}/.`, `${id}:/app`])),
  };
  try {
    return await compareTimes(title, rounds, tasks, { against: "cli", ratio: 1.43 });
  } finally {
    rmSync(folder, { recursive: true });
  }
}

const repeatBlock = (block: Buffer) => Buffer.concat(Array.from({ length: BLOCK_COUNT }, () => block));

function textBlock(): Buffer {
  const lines = Array.from(
    { length: 14_000 },
    (_, at) => `${at} ${Math.random().toString(36)} the quick brown fox jumps over ${Math.random()}`,
  );
  return Buffer.from(lines.join("\n")).subarray(0, BLOCK_BYTES);
}

function zipOf(files: Content["files"], compress: boolean): Promise<Buffer> {
  const zip = new ZipFile();
  for (const { name, bytes } of files) zip.addBuffer(bytes, name, { compress });
  zip.end();
  return buffer(zip.outputStream);
}

async function tarOf(files: Content["files"]): Promise<Buffer> {
  const tar = pack();
  const whole = buffer(tar as never);
  for (const { name, bytes } of files) await new Promise((resolve) => tar.entry({ name }, bytes, resolve));
  tar.finalize();
  return whole;
}

function send(target: http.RequestOptions, type: string, bytes: Buffer): Promise<void> {
  return new Promise((resolve, reject) => {
    const headers = { ...CREDENTIALS, "Content-Type": type, "Content-Length": bytes.length };
    const request = http.request({ ...target, headers }, async (response) => {
      const text = await buffer(response);
      if (response.statusCode === 200) resolve();
      else reject(new Error(`${target.method} ${target.path}: ${response.statusCode} ${text}`));
    });
    request.on("error", reject).end(bytes);
  });
}
