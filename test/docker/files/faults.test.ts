import { randomBytes } from "node:crypto";
import { mkdirSync, readdirSync, rmSync, statfsSync, writeFileSync } from "node:fs";
import path from "node:path";
import { runOrThrow, until } from "../../../scripts/process";
import { uniqueName } from "../../support/cluster-containers";
import { type Engine, startEngine } from "../../support/engine";
import { beginUpload, container, openArchiveCount, sha, upload, waitUntilWritten } from "../../support/files";
import { importBusybox } from "../../support/images";
import { startServer, type TestServer } from "../../support/server";
import { dockerOf } from "../../support/single-node";
import { zipOf } from "../../support/zips";

const WAIT_MS = 20_000;
/** Bytes of the temporary file system, a whole number of pages. */
const TMPFS_BYTES = 4096 * 50_000;

let engine: Engine;
let server: TestServer;
/** The server's temporary folder, a separate file system. */
let folder: string;
const docker = (...args: string[]) => dockerOf(engine, args);
const start = () => startServer({ engine, env: { TMPDIR: folder } });
beforeAll(async () => {
  engine = await startEngine({ name: "files-faults" });
  await importBusybox(engine);
  // Stopping the engine unmounts it.
  folder = path.join(engine.folder, "temporary");
  mkdirSync(folder);
  await runOrThrow("mount", ["-t", "tmpfs", "-o", `size=${TMPFS_BYTES}`, "temporary", folder]);
  server = await start();
});
afterAll(async () => {
  await server?.stop();
  await engine?.stop();
});
afterEach(async () => {
  expect(await until(() => openArchiveCount(server) === 0, WAIT_MS)).toBe(true);
  expect(readdirSync(folder)).toEqual([]);
  expect(await until(() => free() === TMPFS_BYTES, WAIT_MS)).toBe(true);
  // On a busy machine the engine writes stack traces of a slow containerd.
  expect(readdirSync(path.join(engine.folder, "tmp")).filter((name) => !name.endsWith(".stacks.log"))).toEqual([]);
  expect(server.output()).not.toMatch(/FATAL|Unhandled promise rejection|Warning/);
});

/** bytes */
const free = () => {
  const { bfree, bsize } = statfsSync(folder);
  return bfree * bsize;
};
const box = (running = true) => container({ docker }, uniqueName("files"), running);
const changed = async (name: string) => (await docker("diff", name)).split("\n").filter((line) => line.includes("/app"));

describe("a server killed during an upload leaves no file behind, and the upload succeeds after its restart", () => {
  const files = Object.fromEntries(Array.from({ length: 150 }, (_, index) => [`f${index}`, randomBytes(300_000)]));
  const zip = zipOf(files);

  async function succeeds(name: string): Promise<void> {
    expect([readdirSync(folder), free()]).toEqual([[], TMPFS_BYTES]);
    server = await start();
    expect((await upload({ server }, name, zip)).json).toMatchObject({ files: 150, bytes: 45_000_000 });
    const sums = (await docker("exec", name, "sh", "-c", "cd /app; sha256sum *")).split("\n").map((line) => line.split(/ +/).reverse());
    expect(Object.fromEntries(sums)).toEqual(Object.fromEntries(Object.entries(files).map(([file, bytes]) => [file, sha(bytes)])));
  }

  test("killed while receiving the archive", async () => {
    const name = await box();
    const { answer } = beginUpload({ server }, name);
    const cut = expect(answer).rejects.toThrow(/socket hang up|ECONNRESET/);
    expect(await until(() => openArchiveCount(server) === 1 && free() < TMPFS_BYTES - 100_000, WAIT_MS)).toBe(true);
    await server.stop("SIGKILL");
    await cut;
    expect(await changed(name)).toEqual([]);
    await succeeds(name);
  });

  test("killed while the engine unpacks", async () => {
    const name = await box();
    const cut = expect(upload({ server }, name, zip)).rejects.toThrow("fetch failed");
    await waitUntilWritten(engine, name, "app/f0");
    await server.stop("SIGKILL");
    await cut;
    expect(Number(await docker("exec", name, "sh", "-c", "ls /app | wc -l"))).toBeLessThan(150);
    await succeeds(name);
  });
});

describe("with a full temporary folder an upload fails with NO_SPACE and writes nothing", () => {
  const filler = () => path.join(folder, "filler");
  const full = { status: 500, json: { error: "io_error", code: "NO_SPACE", message: "This node has no room to take in an upload" } };
  afterEach(() => rmSync(filler(), { force: true }));

  /** Fills the file system except for the given number of bytes. */
  const fill = (left: number) => writeFileSync(filler(), Buffer.alloc(free() - left));
  const formOf = (zip: Buffer) => {
    const form = new FormData();
    form.append("file", new Blob([new Uint8Array(zip)]), "x.zip");
    return form;
  };

  test("full while receiving the archive", async () => {
    const zip = zipOf({ first: "x", f: randomBytes(12_000_000) });
    const names = [await box(), await box(false)] as const;
    fill(8_000_000);
    const left = free();
    for (const name of names) for (const body of [zip, formOf(zip)]) expect(await upload({ server }, name, body)).toMatchObject(full);
    expect(await until(() => free() === left, WAIT_MS)).toBe(true);
    for (const name of names) expect(await changed(name)).toEqual([]);
    expect((await upload({ server }, names[0], zipOf({ small: "enough room" }))).status).toBe(200);
    rmSync(filler());
    expect((await upload({ server }, names[0], zip)).status).toBe(200);
  });

  test("full before the upload", async () => {
    const name = await box();
    await runOrThrow("mount", ["-o", "remount,nr_inodes=1", folder]);
    expect(await upload({ server }, name, zipOf({ f: "x" }))).toMatchObject(full);
    await runOrThrow("mount", ["-o", "remount,nr_inodes=1000", folder]);
    expect(await changed(name)).toEqual([]);
    expect((await upload({ server }, name, zipOf({ f: "x" }))).status).toBe(200);
  });
});
