import { randomBytes } from "node:crypto";
import { readdirSync } from "node:fs";
import http from "node:http";
import { tmpdir } from "node:os";
import { until } from "../../../scripts/process";
import { startCluster, type TestCluster, type TestNode } from "../../support/cluster";
import { becomesComplete, removeAllContainers, startContainer, uniqueName } from "../../support/cluster-containers";
import { beginUpload, download, openArchiveCount, sha, upload, waitUntilWritten } from "../../support/files";
import { openEngineConnectionsOf } from "../../support/log-stream";
import { TOKEN } from "../../support/server";
import { dockerOf, residentMemory } from "../../support/single-node";
import { zipOf } from "../../support/zips";

const DEADLINE_MS = 20_000;

let cluster: TestCluster;
let [n1, n2] = [] as unknown as [TestNode, TestNode];
beforeAll(async () => {
  cluster = await startCluster({ size: 2, args: ["--peer_timeout=1500", "--upload_limit=100"] });
  [n1, n2] = cluster.nodes as [TestNode, TestNode];
});
afterAll(() => cluster.stop());
afterEach(() => removeAllContainers(cluster), 60_000);

const start = async () => (await startContainer(n1, { name: uniqueName("files") }, "n2")).name;
const runIn = (name: string, script: string) => dockerOf(n2.engine, ["exec", name, "sh", "-c", script]);
const heldCount = ({ server }: TestNode) => openArchiveCount(server);

test("upload, download and listing work the same through a node that doesn't have the container", async () => {
  const name = await start();
  const { status, json } = await upload(n1, name, zipOf({ "a/b": "far away" }));
  expect({ status, json }).toMatchObject({ status: 200, json: { name, path: "/app", files: 1, host: "n2" } });
  for (const node of [n1, n2]) {
    const whole = await download(node, name, "download", "a/b");
    expect([whole.status, whole.bytes.toString(), whole.headers.get("content-length")]).toEqual([200, "far away", "8"]);
    const part = await download(node, name, "download", "a/b", { headers: { Range: "bytes=4-" } });
    expect([part.status, part.bytes.toString(), part.headers.get("content-range")]).toEqual([206, "away", "bytes 4-7/8"]);
    const head = await download(node, name, "download", "a/b", { method: "HEAD" });
    expect([head.status, head.headers.get("content-length"), head.headers.get("content-disposition")]).toEqual([
      200,
      "8",
      "attachment; filename=b",
    ]);
    expect((await download(node, name, "download-zip", "a")).headers.get("content-type")).toBe("application/zip");
    expect((await node.request("GET", `/containers/${name}/files?path=a`)).json).toMatchObject({
      host: "n2",
      entries: [{ name: "b", size: 8 }],
    });
  }
});

test("a ticket of any node opens one download through any other node, only once in the whole pool", async () => {
  const name = await start();
  await upload(n2, name, zipOf({ "a/b": "far away" }));
  for (const [issuer, opener, third] of [
    [n1, n2, n1],
    [n2, n1, n2],
  ] as const) {
    const { json } = await issuer.request("POST", `/containers/${name}/download/ticket?path=a/b`);
    const path = `/containers/${name}/download?path=a/b&ticket=${encodeURIComponent(json.ticket)}`;
    const { status, text } = await opener.request("GET", path, { anonymous: true });
    expect([status, text]).toEqual([200, "far away"]);
    expect((await third.request("GET", path, { anonymous: true })).json).toMatchObject({ code: "WRONG_TICKET" });
  }
});

test("form uploads and refused uploads work through another node", async () => {
  const name = await start();
  const form = new FormData();
  form.append("file", new Blob([new Uint8Array(zipOf({ f: "by form" }))]), "x.zip");
  expect((await upload(n1, name, form)).json).toMatchObject({ files: 1, host: "n2" });
  expect((await upload(n1, name, zipOf({ "../evil": "x" }))).json).toMatchObject({ status: 400, details: { entry: "../evil" } });
  const part = Buffer.alloc(1_000_000);
  let sent = 0;
  const endless = new ReadableStream({
    pull(controller) {
      sent += part.length;
      if (sent > 120_000_000) controller.close();
      else controller.enqueue(part);
    },
  });
  expect((await upload(n1, name, endless)).json).toMatchObject({ status: 413, error: "too_large" });
  expect(await until(() => heldCount(n1) + heldCount(n2) === 0, DEADLINE_MS)).toBe(true);
});

test("a large file is streamed: neither node holds it in memory", async () => {
  const name = await start();
  const before = [n1, n2].map((node) => residentMemory(node.server.process.pid));
  const content = Buffer.alloc(90_000_000, "0123456789abcdef");
  expect((await upload(n1, name, zipOf({ big: content }))).status).toBe(200);
  expect(sha((await download(n1, name, "download", "big")).bytes)).toBe(sha(content));
  const after = [n1, n2].map((node) => residentMemory(node.server.process.pid));
  for (const index of [0, 1]) expect((after[index] as number) - (before[index] as number)).toBeLessThan(100);
});

test("an upload aborted by the client leaves nothing on either node and nothing in the container", async () => {
  const name = await start();
  for (const through of [n1, n2]) {
    const { request } = beginUpload(through, name);
    expect(await until(() => heldCount(n2) === 1, DEADLINE_MS)).toBe(true);
    request.destroy();
    expect(await until(() => heldCount(n2) === 0, DEADLINE_MS)).toBe(true);
  }
  expect(await runIn(name, "ls /app 2>/dev/null || echo none")).toBe("none");
  expect((await upload(n1, name, zipOf({ f: "after" }))).status).toBe(200);
});

test("a download aborted by the client leaves no request open at the engine", async () => {
  const name = await start();
  await runIn(name, "mkdir /app; dd if=/dev/zero of=/app/big bs=1M count=100 2>/dev/null");
  const before = openEngineConnectionsOf(n2);
  for (const route of ["download?path=big", "download-zip"]) {
    await new Promise<void>((resolve, reject) => {
      const request = http.get(`${n1.server.url}/containers/${name}/${route}`, { headers: { Authorization: `Bearer ${TOKEN}` } });
      request.on("error", reject);
      request.on("response", (response) => response.on("error", () => undefined).once("data", () => resolve(void request.destroy())));
    });
  }
  expect(await until(() => openEngineConnectionsOf(n2) <= before + 1, DEADLINE_MS)).toBe(true);
});

test("a node that freezes during an upload is a 502 while the client still sends", async () => {
  const name = await start();
  const { answer, stop } = beginUpload(n1, name);
  expect(await until(() => heldCount(n2) === 1, DEADLINE_MS)).toBe(true);
  n2.server.process.signal("SIGSTOP");
  try {
    const { status, body } = await answer;
    expect([status, JSON.parse(body).error]).toEqual([502, "upstream_error"]);
  } finally {
    stop();
    n2.server.process.signal("SIGCONT");
  }
  expect(await becomesComplete(cluster)).toBe(true);
  expect(await until(() => heldCount(n2) === 0, DEADLINE_MS)).toBe(true);
});

describe("a node killed during an upload is a 502, and after its restart the same upload succeeds with all files complete:", () => {
  const files = Object.fromEntries(Array.from({ length: 150 }, (_, index) => [`f${index}`, randomBytes(300_000)]));
  const zip = zipOf(files);

  async function expectRetrySucceeds(name: string): Promise<void> {
    expect(readdirSync(tmpdir()).filter((each) => /^docker-server-[0-9a-f]{8}-/.test(each))).toEqual([]);
    await cluster.restart(n2);
    expect(await becomesComplete(cluster)).toBe(true);
    expect((await upload(n1, name, zip)).status).toBe(200);
    expect(await until(() => heldCount(n1) + heldCount(n2) === 0, DEADLINE_MS)).toBe(true);
    const sums = (await runIn(name, "cd /app; sha256sum *")).split("\n").map((line) => line.split(/ +/).reverse());
    expect(Object.fromEntries(sums)).toEqual(Object.fromEntries(Object.entries(files).map(([file, bytes]) => [file, sha(bytes)])));
  }

  test("while the archive arrives", async () => {
    const name = await start();
    const { answer, stop } = beginUpload(n1, name);
    expect(await until(() => heldCount(n2) === 1, DEADLINE_MS)).toBe(true);
    await n2.server.stop("SIGKILL");
    const { status, body } = await answer;
    stop();
    expect([status, JSON.parse(body).error]).toEqual([502, "upstream_error"]);
    expect(await runIn(name, "ls /app 2>/dev/null || echo none")).toBe("none");
    await expectRetrySucceeds(name);
  });

  test("while the engine extracts the archive", async () => {
    const name = await start();
    const answer = upload(n1, name, zip);
    await waitUntilWritten(n2.engine, name, "app/f0");
    await n2.server.stop("SIGKILL");
    expect(await answer).toMatchObject({ status: 502, json: { error: "upstream_error" } });
    expect(Number(await runIn(name, "ls /app | wc -l"))).toBeLessThan(150);
    await expectRetrySucceeds(name);
  });
});
