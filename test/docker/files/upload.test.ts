import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { run, until } from "../../../scripts/process";
import { container, download, openArchiveCount, upload } from "../../support/files";
import { BASIC, curl, type OneNode, startNode } from "../../support/single-node";
import { type ZipPart, zipOf } from "../../support/zips";

let node: OneNode;
let folder: string;
beforeAll(async () => {
  node = await startNode({ name: "files-upload", args: ["--upload_limit=300"] });
  folder = mkdtempSync(path.join(tmpdir(), "files-upload-"));
  await container(node, "running", true);
  await container(node, "stopped", false);
});
afterAll(async () => {
  await node?.stop();
  rmSync(folder, { recursive: true, force: true });
});

const exec = (script: string, name = "running") => node.docker("exec", name, "sh", "-c", script);
const text = async (name: string, file: string) => (await download(node, name, "download", file)).bytes.toString();
afterEach(async () => {
  expect(await until(() => openArchiveCount(node.server) === 0, 20_000)).toBe(true);
  expect(readdirSync(tmpdir()).filter((name) => /^docker-server-[0-9a-f]{8}-/.test(name))).toEqual([]);
});

const FILES = { "boot.py": 'print("started")\n', "requirements.txt": "requests==2.31.0\n", "data/config.json": '{"setting": "value"}' };

test.each(["running", "stopped"])("the documented example is unpacked to /app of a %s container", async (name) => {
  const { status, json } = await upload(node, name, zipOf(FILES));
  expect({ status, json }).toMatchObject({ status: 200, json: { name, path: "/app", files: 3, bytes: 54 } });
  for (const [file, content] of Object.entries(FILES)) expect(await text(name, `/app/${file}`)).toBe(content);
});

test("uploaded files belong to the documented user and are readable by all", async () => {
  const parts: ZipPart[] = [
    { name: "owned/run.sh", data: "#!/bin/sh\n", mode: 0o104700 },
    { name: "owned/file", data: "x", mode: 0o100600 },
    { name: "owned/empty/", mode: 0o040700 },
  ];
  expect((await upload(node, "running", zipOf(parts))).status).toBe(200);
  expect(await exec("cd /app/owned; stat -c '%n %u:%g %a' . run.sh file empty")).toBe(
    [". 1000:1000 755", "run.sh 1000:1000 755", "file 1000:1000 644", "empty 1000:1000 755"].join("\n"),
  );
});

test("curl uploads as a body or a form, and Python as documented", async () => {
  const file = path.join(folder, "x.zip");
  writeFileSync(path.join(folder, "in zip"), "by zip");
  expect((await run("zip", ["--quiet", "--junk-paths", file, path.join(folder, "in zip")])).code).toBe(0);
  const url = `${node.server.url}/containers/running/upload-zip`;
  for (const args of [
    ["--data-binary", `@${file}`, "-H", "Content-Type: application/zip"],
    ["-F", `file=@${file}`],
    ["-F", `archive=@${file};type=application/zip`],
  ]) {
    await exec("rm -f '/app/in zip'");
    const answer = await curl("-H", BASIC, ...args, url);
    expect(answer).toMatchObject({ status: 200, json: { files: 1 } });
    expect(await text("running", "in zip")).toBe("by zip");
  }
  const script = `
import io, urllib.request, zipfile
buffer = io.BytesIO()
with zipfile.ZipFile(buffer, 'w', zipfile.ZIP_DEFLATED) as zf:
    zf.writestr('py/boot.py', b'print(1)' * 1000)
    zf.writestr('py/\\u00fc.txt', b'')
request = urllib.request.Request('${url}', data=buffer.getvalue(), headers={'Content-Type': 'application/zip', 'Authorization': '${BASIC.split(": ")[1]}'})
print(urllib.request.urlopen(request).status)`;
  expect((await run("python3", ["-c", script])).stdout).toBe("200\n");
  expect(await exec("cd /app/py; echo *; wc -c < boot.py")).toBe("boot.py ü.txt\n8000");
});

test("missing folders are created, existing ones keep content, mode and owner", async () => {
  await exec("mkdir -p /srv/old; chmod 700 /srv/old; echo kept > /srv/old/kept; echo old > /srv/old/f");
  const { json } = await upload(node, "running", zipOf({ "old/f": "new", "old/sub/g": "g" }), { query: "?path=/srv" });
  expect(json).toMatchObject({ path: "/srv", files: 2 });
  expect(await exec("cd /srv/old; cat kept f sub/g; stat -c '%a %u' .")).toBe("kept\nnewg700 0");
  expect((await upload(node, "stopped", zipOf({ f: "deep" }), { query: "?path=a/b" })).json.path).toBe("/app/a/b");
  expect(await text("stopped", "a/b/f")).toBe("deep");
});

test("nothing is written through links, and types aren't replaced", async () => {
  await exec("mkdir -p /app/t/dir; ln -s /etc /app/t/link; echo file > /app/t/file; ln -s /etc/hostname /app/t/flink");
  for (const [name, status] of [
    ["t/link/passwd", 409],
    ["t/file/x", 409],
    ["t/dir", 409],
  ] as const) {
    expect([
      name,
      (
        await upload(
          node,
          "running",
          zipOf([
            { name: "t/first", data: "x" },
            { name, data: "evil" },
          ]),
        )
      ).status,
    ]).toEqual([name, status]);
  }
  expect((await upload(node, "running", zipOf({ passwd: "evil" }), { query: "?path=t/link" })).json.code).toBe("LEADS_OUT");
  // A link with a file's own name is replaced.
  expect((await upload(node, "running", zipOf({ "t/flink": "mine" }))).status).toBe(200);
  expect(await exec("cat /app/t/flink; cat /app/t/file; ls -A /app/t/dir; grep -l evil /etc/passwd /etc/hostname || echo clean")).toBe(
    "minefile\nclean",
  );
});

test("read-only roots, read-only mounts and full disks have their own errors", async () => {
  await container(node, "sealed", true, "--read-only", "--volume", "kept:/data");
  expect((await upload(node, "sealed", zipOf({ f: "x" }))).json).toMatchObject({ status: 409, error: "conflict", code: "READ_ONLY" });
  expect((await upload(node, "sealed", zipOf({ f: "x" }), { query: "?path=/data" })).status).toBe(200);
  await container(node, "barred", true, "--volume", "kept:/data:ro");
  expect((await upload(node, "barred", zipOf({ f: "x" }), { query: "?path=/data" })).json.code).toBe("READ_ONLY");
  await node.docker("volume", "create", "--opt", "type=tmpfs", "--opt", "device=tmpfs", "--opt", "o=size=1m", "tiny");
  await container(node, "full", true, "--volume", "tiny:/app");
  const { json } = await upload(node, "full", zipOf({ f: Buffer.alloc(3_000_000, 1) }));
  expect(json).toMatchObject({ status: 500, error: "io_error", code: "NO_SPACE" });
});

test("invalid archives, bodies, paths and containers are refused", async () => {
  const file = new FormData();
  for (const [answer, code] of [
    [await upload(node, "running", Buffer.from("not a zip")), "INVALID_ARCHIVE"],
    [await upload(node, "running", Buffer.alloc(0)), "INVALID_ARCHIVE"],
    [await upload(node, "running", zipOf(FILES), { type: "application/json" }), "UNSUPPORTED_MEDIA_TYPE"],
    [await upload(node, "running", zipOf(FILES), { type: "multipart/form-data" }), "INVALID_BODY"],
    [await upload(node, "running", zipOf(FILES), { type: "multipart/form-data; boundary=x" }), "INVALID_BODY"],
    [await upload(node, "running", file), "INVALID_BODY"],
    [await upload(node, "running", zipOf(FILES), { query: "?path=../etc" }), "INVALID_PATH"],
  ] as const)
    expect(answer).toMatchObject({ status: 400, json: { error: "validation_error", code } });
  expect((await upload(node, "nobody", zipOf(FILES))).json).toMatchObject({ status: 404, code: "CONTAINER_NOT_FOUND" });
});

test("a form with another field than the archive is refused with the field's name, and nothing is written", async () => {
  const file = path.join(folder, "form.zip");
  writeFileSync(file, zipOf({ "of-form": "x" }));
  const archive = ["-F", `app=@${file}`];
  for (const [field, args] of [
    ["path", [...archive, "-F", "path=/srv"]],
    ["note", ["-F", "note=first", ...archive]],
    ["second", [...archive, "-F", `second=@${file}`]],
  ] as const) {
    const answer = await curl("-H", BASIC, ...args, `${node.server.url}/containers/running/upload-zip`);
    expect(answer.json).toMatchObject({
      status: 400,
      error: "validation_error",
      message: expect.stringMatching(
        `^${field} is not known here: the form has the archive alone(, as a file .*)?, and \\?path= the folder$`,
      ),
      details: { field },
    });
  }
  expect(await exec("ls /app/of-form /srv/of-form 2>/dev/null || echo none")).toBe("none");
});

test("an upload without a length is 413 beyond the limit", async () => {
  const part = Buffer.alloc(1_000_000, 7);
  let sent = 0;
  const endless = () =>
    new ReadableStream({
      pull(controller) {
        sent += part.length;
        if (sent > 310_000_000) controller.close();
        else controller.enqueue(part);
      },
    });
  expect((await upload(node, "running", endless())).json).toMatchObject({ status: 413, error: "too_large" });
});

test("the OpenAPI document describes the upload's content types", async () => {
  const { json } = await node.request("GET", "/openapi.json");
  expect(Object.keys(json.paths["/containers/{id}/upload-zip"].post.requestBody.content)).toEqual([
    "application/zip",
    "multipart/form-data",
  ]);
  expect(readFileSync(path.resolve(__dirname, "../../../README.md"), "utf8")).toContain("/upload-zip");
});
