import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { gzipSync } from "node:zlib";
import { type Entries, tarGz, tarGz64, tarOf, untarGz64 } from "../../support/archives";
import { everythingOn, oneOff } from "../../support/runs";
import { type OneNode, startNode } from "../../support/single-node";

let node: OneNode;
let before: string[];
let shared: string;
beforeAll(async () => {
  node = await startNode({ name: "runs-contents", args: ["--run_files=2000000"] });
  shared = path.join(node.engine.folder, "shared");
  mkdirSync(shared);
  await node.docker("run", "--name", "model", "busybox", "sh", "-c", "mkdir /srv; echo old > /srv/old");
  await node.docker("commit", "model", "furnished");
  await node.docker("commit", "-c", "USER 1000", "model", "unprivileged");
  await node.docker("rm", "model");
  before = await everythingOn(node);
});
afterAll(() => node?.stop());
afterEach(async () => expect(await everythingOn(node)).toEqual(before));

const sh = (script: string, volumes: object = {}) => oneOff(node, { command: ["sh", "-c", script], volumes });
const file = (text: string | Buffer, more: object = {}) => ({ type: "file", content: Buffer.from(text).toString("base64"), ...more });
const folder = async (entries: Entries, more: object = {}) => ({ type: "directory", content: await tarGz64(entries), ...more });

test("a file has its bytes and mode, and its folders are created", async () => {
  const { json } = await sh("cat /new/deep/f; stat -c %a /new/deep/f /x; stat -c %a /new/deep", {
    "/new/deep/f": file("text"),
    "/x": file("", { mode: "4750" }),
  });
  expect(json).toMatchObject({ status: "success", stdout: "text644\n4750\n755\n" });
});

test("a returned file has the bytes that the run left", async () => {
  const bytes = Buffer.from([0, 255, 10, 13]);
  const { json } = await sh("printf more >> /a; rm /b", {
    "/a": file(bytes, { response: true }),
    "/b": file("gone", { response: true }),
    "/c": file("kept to itself"),
  });
  expect(Buffer.from(json.volumes["/a"].content, "base64")).toEqual(Buffer.concat([bytes, Buffer.from("more")]));
  expect(json.volumes["/b"]).toEqual({ type: "file", content: null });
  expect(json.volumes["/c"]).toBeUndefined();
  expect(json.warnings).toEqual([expect.stringContaining("/b")]);
});

test("a returned file that became something else is a warning, and has no content", async () => {
  const returned = { "/f": file("old", { response: true }), "/p": file("old", { response: true }), "/t": file("old", { response: true }) };
  const { json } = await sh("rm /f /p /t; ln -s /etc/passwd /f; mkfifo /p; mkdir /t", returned);
  expect(json).toMatchObject({ exit_code: 0, volumes: { "/f": { content: null }, "/p": { content: null }, "/t": { content: null } } });
  expect(json.warnings).toEqual([
    "/f is not given back: it is a link",
    "/p is not given back: it is a pipe",
    "/t is not given back: it is a folder",
  ]);
});

test("a folder has only the archive's content, not the image's", async () => {
  const entries = { "sub/": { type: "directory", mode: 0o700 }, "sub/f": "in", l: { type: "symlink", linkname: "sub/f" } } as const;
  const script = "ls -A /srv; cat /srv/l; stat -c %a /srv/sub; echo new > /srv/sub/n";
  const volumes = { "/srv": await folder(entries, { response: true }) };
  const { json } = await oneOff(node, { image: "furnished", command: ["sh", "-c", script], volumes });
  expect(json.stdout).toBe("l\nsub\nin700\n");
  expect(await untarGz64(json.volumes["/srv"].content)).toEqual({ "sub/": "", "sub/f": "in", "sub/n": "new\n", l: "" });
});

test("a folder without content is empty, and has what the run wrote", async () => {
  const { json } = await sh("ls -A /srv /out; echo new > /out/n", {
    "/out": { type: "directory", response: true },
    "/srv": { type: "directory", content: "" },
  });
  expect(json).toMatchObject({ status: "success", stdout: "/out:\n\n/srv:\n" });
  expect(await untarGz64(json.volumes["/out"].content)).toEqual({ n: "new\n" });
});

test("a folder can be written by the user of the image", async () => {
  const volumes = { "/out": await folder({ f: "in" }, { response: true }) };
  const { json } = await oneOff(node, { image: "unprivileged", command: ["sh", "-c", "echo new > /out/n"], volumes });
  expect(json).toMatchObject({ status: "success", stderr: "" });
  expect(await untarGz64(json.volumes["/out"].content)).toEqual({ f: "in", n: "new\n" });
});

test(":ro files and folders are read-only and can be returned", async () => {
  const { json } = await sh("echo x > /d/new; echo x > /d/f; echo x > /f; rm /f; cat /d/f /f; stat -c %a /f", {
    "/d:ro": await folder({ f: "in d" }, { response: true }),
    "/f:ro": file("as file", { response: true, mode: "0500" }),
  });
  expect(json.stdout).toBe("in das file500\n");
  expect(json.stderr.match(/Read-only file system/g)?.length).toBeGreaterThanOrEqual(3);
  expect(await untarGz64(json.volumes["/d"].content)).toEqual({ f: "in d" });
  expect(Buffer.from(json.volumes["/f"].content, "base64").toString()).toBe("as file");
});

test("nested folders and files are all present", async () => {
  const { json } = await sh("cat /a/b/c/f /a/b/g /a/x", {
    "/a/b/c/f": file("3"),
    "/a/b": await folder({ g: "2" }),
    "/a": await folder({ x: "1" }),
  });
  expect(json.stdout).toBe("321");
});

test("a named volume persists between runs, and is read-only with :ro", async () => {
  const data = (more: object = {}) => ({ type: "volume", name: "kept-data", ...more });
  try {
    expect((await sh("echo one > /v/f", { "/v": data() })).json.status).toBe("success");
    const { json } = await sh("cat /v/f; echo two > /v/f", { "/v:ro": data({ response: true }) });
    expect(json).toMatchObject({ status: "error: 1", stdout: "one\n" });
    expect(json.volumes["/v"].type).toBe("volume");
    expect(await untarGz64(json.volumes["/v"].content)).toEqual({ f: "one\n" });
  } finally {
    await node.docker("volume", "rm", "kept-data");
  }
});

test("a run that can't start leaves no new volume", async () => {
  const answer = await oneOff(node, { command: "no-such-command", volumes: { "/v": { type: "volume", name: "never-used" } } });
  expect(answer.json).toMatchObject({ status: 400, code: "INVALID_SPEC", message: expect.stringContaining("not found") });
});

test("host folders are mounted as the policy allows", async () => {
  writeFileSync(path.join(shared, "in"), "from the host");
  const host = (host_path: string, more: object = {}) => ({ type: "host", host_path, ...more });
  const { json } = await sh("cat /h/in; echo back > /h/out", { "/h": host(shared, { response: true }) });
  expect(json.stdout).toBe("from the host");
  expect(readFileSync(path.join(shared, "out"), "utf8")).toBe("back\n");
  expect(await untarGz64(json.volumes["/h"].content)).toEqual({ in: "from the host", out: "back\n" });
  expect((await sh("echo x > /h/in", { "/h:ro": host(shared) })).json.status).toBe("error: 1");
  for (const refused of ["/", "/var/run", node.engine.folder, "/proc/1/root"]) {
    expect((await sh("ls /h", { "/h": host(refused) })).json).toMatchObject({ status: 403, details: { field: "volumes./h.host_path" } });
  }
  expect((await sh("ls /h", { "/h": host("/no/such/folder") })).json).toMatchObject({ status: 400 });
});

const hostile: [string, Buffer | Promise<Buffer>, string][] = [
  ["../", tarGz({ "../../../escaped": "x" }), "../../../escaped"],
  ["an absolute path", tarGz({ "/escaped": "x" }), "/escaped"],
  ["a link to the outside", tarGz({ out: { type: "symlink", linkname: "../.." } }), "out"],
  ["entries behind a link", tarGz({ l: { type: "symlink", linkname: "." }, "l/f": "x" }), "l"],
  ["a device", tarGz({ sda: { type: "block-device", devmajor: 8, devminor: 0 } }), "sda"],
  ["a bomb", tarOf([{ name: "bomb", text: "\0".repeat(20_000_000) }]).then((tar) => gzipSync(tar)), "bomb"],
];

test.each(hostile)("an archive with %s is a 400 with field and entry, and nothing is created", async (_what, archive, entry) => {
  for (const at of ["/d", "/d:ro"]) {
    const { json } = await sh("true", { [at]: { type: "directory", content: (await archive).toString("base64") } });
    expect(json).toMatchObject({ status: 400, code: "INVALID_VOLUMES", details: { field: `volumes.${at}.content`, entry } });
  }
});

test.each([
  ["foreign characters", { content: "aGk*" }, "content"],
  ["a wrong length", { content: "aGk" }, "content"],
  ["a broken archive", { type: "directory", content: gzipSync("x").subarray(0, 15).toString("base64") }, "content"],
  ["no archive at all", { type: "directory", content: "aGk=" }, "content"],
  ["a mode that is none", { content: "aGk=", mode: "999" }, "mode"],
  ["too much", { content: Buffer.alloc(2_000_001).toString("base64") }, "content"],
  ["a type that is none", { type: "socket" }, "type"],
  ["a field of another type", { type: "volume", name: "v1", content: "aGk=" }, "content"],
])("%s is a 400 with the field", async (_what, entry, field) => {
  const { json } = await sh("true", { "/f": { type: "file", ...entry } });
  expect(json).toMatchObject({ status: 400, details: { field: `volumes./f.${field}` } });
});

test.each(["relative", "/a/../b", "/", "/a:rx", "/a:ro:ro", "//"])("the path %s is refused", async (at) => {
  expect((await sh("true", { [at]: file("x") })).json).toMatchObject({ status: 400, code: "INVALID_VOLUMES" });
});

test("a duplicate path is refused", async () => {
  expect((await sh("true", { "/a": file("x"), "/a/:ro": file("y") })).json).toMatchObject({ status: 400 });
});

test("a file in place of the image's folder is a 400", async () => {
  expect((await sh("true", { "/bin": file("x") })).json).toMatchObject({ status: 400 });
});

test("content beyond the limit is a warning, and the output is returned", async () => {
  const { json } = await sh("echo said; head -c 3000000 /dev/zero > /d/f; head -c 3000000 /dev/zero > /f", {
    "/d": await folder({ a: "" }, { response: true }),
    "/f": file("", { response: true }),
  });
  expect(json).toMatchObject({ status: "success", stdout: "said\n", volumes: { "/d": { content: null }, "/f": { content: null } } });
  expect(json.warnings).toHaveLength(2);
});

test("a command that doesn't read all of its stdin succeeds", async () => {
  const body = { image: "busybox", pull_policy: "never", command: ["sh", "-c", "head -c 3; exit 4"], stdin: "x".repeat(2_000_000) };
  expect((await node.request("POST", "/run", { json: body })).json).toMatchObject({ stdout: "xxx", exit_code: 4, status: "error: 4" });
});
