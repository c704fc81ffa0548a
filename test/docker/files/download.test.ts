import { createHash } from "node:crypto";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import http from "node:http";
import { tmpdir } from "node:os";
import path from "node:path";
import type { Readable } from "node:stream";
import fc from "fast-check";
import { extract } from "tar-stream";
import { run, until } from "../../../scripts/process";
import { container, download, openArchiveCount, upload } from "../../support/files";
import { TOKEN } from "../../support/server";
import { everythingLogged, type OneNode, openEngineConnections, startNode } from "../../support/single-node";
import { openTerminal } from "../../support/terminal";
import { zipOf } from "../../support/zips";

let node: OneNode;
let folder: string;
beforeAll(async () => {
  node = await startNode({ name: "files-download" });
  folder = mkdtempSync(path.join(tmpdir(), "files-download-"));
  await container(node, "running", true);
  await container(node, "stopped", false);
  await exec(`mkdir -p /app/d/sub /app/d/empty /srv/s; cd /app/d; printf 0123456789 > ten; : > none; echo in > sub/f; chmod 750 sub/f
    ln ten twin; ln -s ten soft; ln -s /etc/passwd out; ln -s sub dirlink; ln -s loop loop; ln -s ../../etc far; mkfifo pipe; ln -s nowhere dangling
    ln -s /app/d/sub abs; echo secret > /srv/s/secret; ln -s /srv/s /app/d/srv; ln -s /app/d/ten /srv/back`);
});
afterAll(async () => {
  await node?.stop();
  rmSync(folder, { recursive: true, force: true });
});

const exec = (script: string) => node.docker("exec", "running", "sh", "-c", script);
const get = (file: string, headers: Record<string, string> = {}, method = "GET") =>
  download(node, "running", "download", file, { headers, method });
const failure = async (what: string, file: string) => JSON.parse((await download(node, "running", what, file)).bytes.toString());

test("a download has size, name and type headers, and HEAD has the same", async () => {
  for (const method of ["GET", "HEAD"]) {
    const { status, headers, bytes } = await get("d/ten", {}, method);
    expect([status, bytes.toString()]).toEqual([200, method === "GET" ? "0123456789" : ""]);
    expect(Object.fromEntries(headers)).toMatchObject({
      "content-length": "10",
      "content-type": "application/octet-stream",
      "content-disposition": "attachment; filename=ten",
      "accept-ranges": "bytes",
      "x-content-type-options": "nosniff",
    });
  }
  expect((await get("/app/d/none")).headers.get("content-length")).toBe("0");
  expect((await get("/app/missing", {}, "HEAD")).status).toBe(404);
});

test.each([
  ["bytes=2-4", 206, "234", "bytes 2-4/10"],
  ["bytes=7-", 206, "789", "bytes 7-9/10"],
  ["bytes=-2", 206, "89", "bytes 8-9/10"],
  ["bytes=0-99", 206, "0123456789", "bytes 0-9/10"],
  ["bytes=0-1,4-5", 200, "0123456789", null],
  ["lines=1-2", 200, "0123456789", null],
  ["nonsense", 200, "0123456789", null],
])("the range %s is answered with %d", async (range, status, text, contentRange) => {
  const answer = await get("d/ten", { Range: range });
  expect([answer.status, answer.bytes.toString(), answer.headers.get("content-range")]).toEqual([status, text, contentRange]);
  expect(answer.headers.get("content-length")).toBe(String(text.length));
});

test("a range beyond the file is 416", async () => {
  const { status, bytes } = await get("d/ten", { Range: "bytes=10-" });
  expect([status, JSON.parse(bytes.toString()).code]).toEqual([416, "RANGE_NOT_THERE"]);
  expect((await get("d/none", { Range: "bytes=0-" })).status).toBe(416);
});

test("a range of a file that has changed since If-Range is answered with the whole file", async () => {
  const { headers } = await get("d/ten");
  const date = headers.get("last-modified") ?? "";
  expect((await get("d/ten", {}, "HEAD")).headers.get("last-modified")).toBe(date);
  const rangeIf = async (ifRange: string) => {
    const { status, bytes } = await get("d/ten", { Range: "bytes=2-4", "If-Range": ifRange });
    return [status, bytes.toString()];
  };
  expect(await rangeIf(date)).toEqual([206, "234"]);
  const others = [
    new Date(Date.parse(date) - 1000).toUTCString(),
    new Date(Date.parse(date) + 1000).toUTCString(),
    '"an-etag"',
    "nonsense",
  ];
  for (const other of others) expect(await rangeIf(other)).toEqual([200, "0123456789"]);
  expect((await get("d/ten", { Range: "bytes=99-", "If-Range": '"an-etag"' })).status).toBe(200);
});

test("links in /app are followed only within it, others anywhere", async () => {
  for (const file of ["d/soft", "d/twin", "/app/d/soft", "/srv/back"]) expect((await get(file)).bytes.toString()).toBe("0123456789");
  for (const file of ["d/dirlink/f", "d/abs/f", "/app/d/sub/../sub/f"]) expect((await get(file)).bytes.toString()).toBe("in\n");
  for (const file of ["d/out", "/app/d/out", "d/far/passwd", "d/srv/secret", "/app/d/srv/secret"])
    expect([file, await failure("download", file)]).toEqual([file, expect.objectContaining({ status: 403, code: "LEADS_OUT" })]);
  expect((await get("/srv/s/secret")).bytes.toString()).toBe("secret\n");
  expect(await failure("download-zip", "d/srv")).toMatchObject({ status: 403 });
  expect(await failure("files", "d/far")).toMatchObject({ status: 403 });
});

test("a path that is not a file gets an explicit error, that of a folder with the routes and the tool for it", async () => {
  expect(await failure("download", "d")).toMatchObject({
    status: 400,
    error: "validation_error",
    message: "path is a folder: /files (of the tools: list_files) lists it, and /download-zip gives all that is in it",
  });
  expect(await failure("download", "d/pipe")).toMatchObject({ status: 400 });
  expect(await failure("download", "../etc/passwd")).toMatchObject({ status: 400, code: "INVALID_PATH" });
  for (const file of ["d/missing", "d/ten/below", "d/dangling", "/nowhere/at/all"])
    expect([file, await failure("download", file)]).toEqual([file, expect.objectContaining({ status: 404, code: "FILE_NOT_FOUND" })]);
  expect((await failure("download", "d/loop")).status).toBeGreaterThanOrEqual(403);
  expect(await failure("files", "d/ten")).toMatchObject({ status: 400 });
});

test("a folder is downloaded as a zip whose comment lists omitted links", async () => {
  const { status, headers, bytes } = await download(node, "running", "download-zip", "d");
  expect([status, headers.get("content-type"), headers.get("content-disposition")]).toEqual([
    200,
    "application/zip",
    "attachment; filename=d.zip",
  ]);
  const file = path.join(folder, "d.zip");
  writeFileSync(file, bytes);
  const list = async (...args: string[]) => (await run("unzip", args)).stdout;
  expect((await list("-Z1", file)).trim().split("\n").sort()).toEqual(["empty/", "none", "sub/", "sub/f", "ten", "twin"]);
  expect(await list("-p", file, "twin", "sub/f")).toBe("in\n0123456789");
  const comment = await list("-z", file);
  for (const name of ["soft", "out", "dirlink", "pipe", "srv"]) expect(comment.split("\n")).toContain(name);
  const single = await download(node, "running", "download-zip", "d/ten");
  writeFileSync(file, single.bytes);
  expect(await list("-p", file)).toBe("0123456789");
});

test("a whole container is downloaded as a zip", async () => {
  const { status, bytes } = await download(node, "stopped", "download-zip", "/");
  const file = path.join(folder, "all.zip");
  writeFileSync(file, bytes);
  const names = (await run("unzip", ["-Z1", file])).stdout.trim().split("\n");
  expect({ status, names }).toEqual({ status: 200, names: expect.arrayContaining(["bin/", "bin/busybox", "etc/passwd"]) });
});

test("a zip contains hard links of large files, and an aborted download closes its connections", async () => {
  await exec("mkdir /srv/many; cd /srv/many; head -c 9000000 /dev/urandom > a; ln a b; head -c 9000000 /dev/urandom > c");
  const { status, bytes } = await download(node, "running", "download-zip", "/srv/many");
  expect([status, bytes.length > 27_000_000]).toEqual([200, true]);
  await exec("rm /srv/many/c");
  const before = openEngineConnections(node.engine);
  await new Promise<void>((resolve, reject) => {
    const url = `${node.server.url}/containers/running/download-zip?path=/srv/many`;
    const request = http.get(url, { headers: { Authorization: `Bearer ${TOKEN}` } });
    let got = 0;
    request.on("error", reject).on("response", (response) =>
      response
        .on("error", () => undefined)
        .on("data", (chunk: Buffer) => {
          got += chunk.length;
          if (got > 9_100_000) resolve(void request.destroy());
        }),
    );
  });
  expect(await until(() => openEngineConnections(node.engine) <= before, 20_000)).toBe(true);
});

test("an upload to a never-started container is downloaded unchanged", async () => {
  const files = { "a/b/c.txt": "deep", "ü ñ.txt": "unicode", empty: "" };
  expect((await upload(node, "stopped", zipOf(files))).status).toBe(200);
  const { bytes } = await download(node, "stopped", "download-zip", "/app");
  const again = await upload(node, "stopped", bytes, { query: "?path=/copy" });
  expect(again).toMatchObject({ status: 200, json: { files: 3, bytes: 11 } });
  expect((await download(node, "stopped", "download", "/copy/ü ñ.txt")).bytes.toString()).toBe("unicode");
});

test("a folder is listed one level deep", async () => {
  const { json } = await node.request("GET", "/containers/running/files?path=d");
  expect(json).toMatchObject({ name: "running", path: "/app/d", complete: true });
  const seen = json.entries.map((entry: { name: string; type: string }) => `${entry.name} ${entry.type}`);
  expect(seen.sort()).toEqual(
    [
      "abs link, dangling link, dirlink link, empty directory, far link, loop link, none file, out link, pipe other, soft link",
      "srv link, sub directory, ten file, twin file",
    ]
      .join(", ")
      .split(", "),
  );
  expect(json.entries.find((entry: { name: string }) => entry.name === "out")).toMatchObject({ target: "/etc/passwd", mode: "0777" });
  expect(json.entries.find((entry: { name: string }) => entry.name === "ten")).toMatchObject({ size: 10, mode: "0644" });
  const root = await node.request("GET", "/containers/stopped/files?path=/");
  expect(root.json.entries.map((entry: { name: string }) => entry.name)).toEqual(expect.arrayContaining(["bin", "app"]));
});

test("any file name survives upload and download, and can't inject headers", async () => {
  const name = fc
    .string({ unit: "grapheme", minLength: 1, maxLength: 30 })
    .map((text) => text.replace(/[\0/\\]/g, "_"))
    .filter((text) => text !== "." && text !== ".." && !/^[A-Za-z]:/.test(text));
  await fc.assert(
    fc.asyncProperty(name, async (given) => {
      expect((await upload(node, "stopped", zipOf({ [`names/${given}`]: given }))).json).toMatchObject({ files: 1 });
      const { status, headers, bytes } = await download(node, "stopped", "download", `names/${given}`);
      expect([status, bytes.toString()]).toEqual([200, given]);
      expect(headers.get("content-disposition")).toMatch(/^attachment/);
    }),
    { numRuns: 40, examples: [['a"b'], ["a\r\nSet-Cookie: x=1"], ["%41"], ["-rf"], ["$(id)"], [" "], ["é"], ["x.html"]] },
  );
});

test("a container whose files are downloaded slowly is inspected, executed in and stopped meanwhile, and the download is whole", async () => {
  await container(node, "slow", true, "--stop-timeout", "0");
  await node.docker("exec", "slow", "sh", "-c", "mkdir -p /app/d; dd if=/dev/urandom of=/app/d/big bs=1M count=40");
  const sum = (await node.docker("exec", "slow", "sha1sum", "/app/d/big")).split(" ")[0];
  const begin = async (what: string, api = "") => {
    const url = `${node.server.url}${api}/containers/slow/${what}`;
    const request = http.get(url, { headers: { Authorization: `Bearer ${TOKEN}` }, agent: false }).on("error", () => undefined);
    const [response] = (await once(request, "response")) as [http.IncomingMessage];
    return { request, response: response.pause() };
  };
  const before = openEngineConnections(node.engine);
  const file = await begin("download?path=d/big");
  const copied = await begin("archive?path=/app/d/big", "/v1.41");
  const exported = await begin("export", "/v1.41");
  const aborted = [await begin("download?path=d/big"), await begin("download-zip?path=d"), exported];
  expect(await node.request("GET", "/containers/slow")).toMatchObject({ status: 200, json: { status: "running" } });
  expect((await node.request("POST", "/slow", { json: { data: "echo hello" } })).json.stdout).toBe("hello\n");
  expect((await node.request("POST", "/containers/slow/stop")).status).toBe(200);
  expect(openArchiveCount(node.server)).toBe(4);
  const hashOf = async (bytes: Readable) => {
    const hash = createHash("sha1");
    for await (const chunk of bytes) hash.update(chunk);
    return hash.digest("hex");
  };
  expect(await hashOf(file.response)).toBe(sum);
  const { value } = await copied.response.pipe(extract())[Symbol.asyncIterator]().next();
  expect(await hashOf(value)).toBe(sum);
  for (const { request } of aborted) request.destroy();
  expect(await until(() => openArchiveCount(node.server) === 0, 20_000)).toBe(true);
  expect(await until(() => openEngineConnections(node.engine) <= before + 1, 20_000)).toBe(true);
});

test("an aborted download closes its connections to the engine", async () => {
  await exec("dd if=/dev/zero of=/app/big bs=1M count=200 2>/dev/null");
  const before = openEngineConnections(node.engine);
  for (const what of ["download?path=big", "download-zip?path=/app", "download?path=big"]) {
    await new Promise<void>((resolve, reject) => {
      const request = http.get(`${node.server.url}/containers/running/${what}`, { headers: { Authorization: `Bearer ${TOKEN}` } });
      request
        .on("error", reject)
        .on("response", (response) => response.once("data", () => resolve(void request.destroy())).on("error", () => undefined));
    });
  }
  expect(await until(() => openEngineConnections(node.engine) <= before + 1, 20_000)).toBe(true);
  expect((await node.request("GET", "/health")).status).toBe(200);
});

describe("a ticket", () => {
  const issue = async (what: string, query = "") => {
    const { status, json } = await node.request("POST", `/containers/running/${what}/ticket${query}`);
    expect([status, json.expires_in]).toEqual([200, 30]);
    return json.ticket as string;
  };
  const open = (address: string, ticket: string, headers = {}) =>
    node.request("GET", `/containers/running/${address}&ticket=${encodeURIComponent(ticket)}`, { anonymous: true, headers });

  test("stands in for credentials at one download of its path, exactly once", async () => {
    const ticket = await issue("download", "?path=d/ten");
    const answer = await open("download?path=d/ten", ticket, { Range: "bytes=2-4" });
    expect([answer.status, answer.text, answer.headers.get("content-disposition")]).toEqual([206, "234", "attachment; filename=ten"]);
    expect((await open("download?path=d/ten", ticket)).json).toMatchObject({ code: "WRONG_TICKET" });
    const zip = await open("download-zip?path=d", await issue("download-zip", "?path=d"));
    expect([zip.status, zip.headers.get("content-type")]).toEqual([200, "application/zip"]);
    expect(everythingLogged(node.server)).not.toContain(ticket);
  });

  test("opens no other file, folder or container, no terminal, and is used up by the attempt", async () => {
    for (const other of ["download?path=/srv/s/secret", "download?path=/app/d/ten", "download-zip?path=d/ten"]) {
      const ticket = await issue("download", "?path=d/ten");
      expect((await open(other, ticket)).json).toMatchObject({ code: "WRONG_TICKET" });
      expect((await open("download?path=d/ten", ticket)).status).toBe(401);
    }
    const wrong = async (path: string) => (await node.request("GET", path, { anonymous: true })).status;
    const stopped = await issue("download-zip");
    expect(await wrong(`/containers/stopped/download-zip?ticket=${stopped}`)).toBe(401);
    expect(await wrong(`/containers/running/files?path=/app&ticket=${await issue("download-zip")}`)).toBe(401);
    const terminal = (await node.request("POST", "/ws/running/ticket")).json.ticket as string;
    expect(await wrong(`/containers/running/download?path=d/ten&ticket=${terminal}`)).toBe(401);
    const opening = openTerminal(node.server.url, `/ws/running?cols=80&ticket=${await issue("download-zip")}`, { anonymous: true });
    await expect(opening).rejects.toThrow(/^401 .*WRONG_TICKET/);
  });

  test("isn't given for a file that isn't there, nor to a token without files", async () => {
    const path = "/containers/running/download/ticket?path=";
    expect((await node.request("POST", `${path}none`)).json).toMatchObject({ code: "FILE_NOT_FOUND" });
    expect((await node.request("POST", `${path}d`)).json).toMatchObject({ details: { field: "path" } });
    const { json } = await node.request("POST", "/tokens", { json: { can: ["read", "exec"], expires: "1h" } });
    const headers = { Authorization: `Bearer ${json.token}` };
    expect((await node.request("POST", `${path}d/ten`, { anonymous: true, headers })).status).toBe(403);
  });
});
