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

const BLOCK = 1_000_000;
const BLOCKS = 200;
const MANY = 20_000;

interface Content {
  what: string;
  rounds: number;
  /** whether the archive's entries are deflated, or stored as they are */
  deflated: boolean;
  files: { name: string; bytes: Buffer }[];
}

/** Files into a container: a zip archive to this server, a tar to the engine, `docker cp` of a folder. */
export async function benchFiles(bed: Bed): Promise<Comparison[]> {
  const noise = repeated(randomBytes(BLOCK));
  const contents: Content[] = [
    { what: "200 MB that don't compress, as zip stores them", rounds: 6, deflated: false, files: [{ name: "big", bytes: noise }] },
    { what: "200 MB that don't compress, deflated", rounds: 6, deflated: true, files: [{ name: "big", bytes: noise }] },
    { what: "200 MB of text, deflated to a third", rounds: 6, deflated: true, files: [{ name: "big", bytes: repeated(text()) }] },
    {
      what: "20,000 small files",
      rounds: 2,
      deflated: true,
      files: Array.from({ length: MANY }, (_, index) => ({ name: `${index % 100}/${index}`, bytes: Buffer.from(`file ${index}\n`) })),
    },
  ];
  const comparisons: Comparison[] = [];
  for (const content of contents) comparisons.push(await benchContent(bed, content));
  return comparisons;
}

async function benchContent(bed: Bed, { what, rounds, deflated, files }: Content): Promise<Comparison> {
  const folder = path.join(bed.engine.folder, "files");
  for (const { name, bytes } of files) {
    mkdirSync(path.dirname(path.join(folder, name)), { recursive: true });
    writeFileSync(path.join(folder, name), bytes);
  }
  const zip = await zipped(files, deflated);
  const tar = await tarred(files);
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
    return await compareTimes(what, rounds, tasks, { against: "cli", ratio: 1.43 });
  } finally {
    rmSync(folder, { recursive: true });
  }
}

const repeated = (block: Buffer) => Buffer.concat(Array.from({ length: BLOCKS }, () => block));

function text(): Buffer {
  const lines = Array.from(
    { length: 14_000 },
    (_, at) => `${at} ${Math.random().toString(36)} the quick brown fox jumps over ${Math.random()}`,
  );
  return Buffer.from(lines.join("\n")).subarray(0, BLOCK);
}

function zipped(files: Content["files"], compress: boolean): Promise<Buffer> {
  const zip = new ZipFile();
  for (const { name, bytes } of files) zip.addBuffer(bytes, name, { compress });
  zip.end();
  return buffer(zip.outputStream);
}

async function tarred(files: Content["files"]): Promise<Buffer> {
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
      const said = await buffer(response);
      if (response.statusCode === 200) resolve();
      else reject(new Error(`${target.method} ${target.path}: ${response.statusCode} ${said}`));
    });
    request.on("error", reject).end(bytes);
  });
}
