import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { tarGz64, untarGz, untarGz64 } from "../../support/archives";
import { WEB_IMAGE } from "../../support/empty-engine";
import { containersOf, volumesOf } from "../../support/engine-api";
import { importBusybox } from "../../support/images";
import { everythingOn, oneOff, runsUnderWay } from "../../support/runs";
import { TOKEN } from "../../support/server";
import { type OneNode, startNode } from "../../support/single-node";

let node: OneNode;
let before: string[];
/** the only folder of the host that may be mounted */
const root = mkdtempSync(path.join(tmpdir(), "docker-server-root-"));
beforeAll(async () => {
  node = await startNode({ name: "runs-volumes", args: ["--run_files=1000000", `--bind_roots=${root}`] });
  // An earlier suite may have left this one; no other image stays on a leased engine.
  await node.engine.docker(["rmi", "--force", WEB_IMAGE]);
  before = await everythingOn(node);
});
afterAll(async () => {
  await node?.stop();
  rmSync(root, { recursive: true });
});
afterEach(async () => {
  const volumes = (await node.docker("volume", "ls", "--quiet")).split("\n").filter(Boolean);
  if (volumes.length > 0) await node.docker("volume", "rm", ...volumes);
  expect(await everythingOn(node)).toEqual(before);
});

const create = (json: object) => node.request("POST", "/volume", { json });
const volumes = () => volumesOf(node.engine);

test("a volume has its content, labels and driver, and a run can use it", async () => {
  const content = await tarGz64({ "d/": { type: "directory", mode: 0o711 }, "d/f": "text", l: { type: "symlink", linkname: "d/f" } });
  const answer = await create({ name: "full", content, driver: "local", labels: { a: "b" } });
  expect([answer.status, answer.json, answer.headers.get("x-volume-host")]).toEqual([
    200,
    { status: "success", detail: "success" },
    expect.any(String),
  ]);
  const { json } = await node.request("GET", "/volumes");
  expect(json.volumes).toEqual([
    { name: "full", driver: "local", labels: { a: "b" }, created: expect.any(String), host: expect.any(String) },
  ]);
  const used = await oneOff(node, { command: "cat /v/l", volumes: { "/v": { type: "volume", name: "full" } } });
  expect(used.json.stdout).toBe("text");
});

test("a volume is read as JSON or as an archive, and removed", async () => {
  await create({ name: "back", content: await tarGz64({ f: "text", "d/g": "deep" }) });
  const { json } = await node.request("GET", "/volumes/back");
  expect(json).toMatchObject({ name: "back", driver: "local" });
  expect(await untarGz64(json.content)).toMatchObject({ f: "text", "d/g": "deep" });
  const headers = { Accept: "application/gzip", Authorization: `Bearer ${TOKEN}` };
  const archive = await fetch(`${node.server.url}/volumes/back`, { headers });
  expect(archive.headers.get("content-type")).toBe("application/gzip");
  expect(await untarGz(Buffer.from(await archive.arrayBuffer()))).toMatchObject({ f: "text" });
  expect((await node.request("DELETE", "/volumes/back")).json).toMatchObject({ name: "back", removed: true });
  expect((await node.request("GET", "/volumes/back")).json).toMatchObject({ status: 404, code: "VOLUME_NOT_FOUND" });
  expect((await node.request("DELETE", "/volumes/back")).json).toMatchObject({ status: 404, code: "VOLUME_NOT_FOUND" });
});

test("what a volume gives out can be put into another: absolute links, and owners with large ids", async () => {
  const script = "ln -s /etc/hosts /v/l; touch /v/f /v/g; chown 262144:262145 /v/f; chown 2097152:4294967294 /v/g";
  const mounted = (name: string) => ({ "/v": { type: "volume", name } });
  expect((await oneOff(node, { command: ["sh", "-c", script], volumes: mounted("from") })).json).toMatchObject({ exit_code: 0 });
  const { content } = (await node.request("GET", "/volumes/from")).json;
  expect((await create({ name: "onto", content })).json).toEqual({ status: "success", detail: "success" });
  const show = "cd /v && readlink l && stat -c %u:%g f g";
  const { json } = await oneOff(node, { command: ["sh", "-c", show], volumes: mounted("onto") });
  expect(json.stdout).toBe("/etc/hosts\n262144:262145\n2097152:4294967294\n");
});

test("a volume in use isn't removed", async () => {
  await node.docker("create", "--name", "user", "-v", "used:/v", "busybox");
  expect((await node.request("DELETE", "/volumes/used")).json).toMatchObject({ status: 409, code: "VOLUME_IN_USE" });
  await node.docker("rm", "user");
});

test("an existing volume gets more content and keeps its own", async () => {
  await create({ name: "grows", content: await tarGz64({ a: "1" }) });
  await create({ name: "grows", content: await tarGz64({ b: "2" }) });
  expect(await untarGz64((await node.request("GET", "/volumes/grows")).json.content)).toEqual({ a: "1", b: "2" });
});

test.each([
  ["foreign base64", "aGk*"],
  ["no archive", "aGk="],
  ["a path that leads out", tarGz64({ "../x": "" })],
  ["a link that leads out", tarGz64({ l: { type: "symlink", linkname: "../etc" } })],
  ["more than it may unpack to", tarGz64({ big: "x".repeat(1_100_000) })],
])("content with %s is a 400, and no volume is created", async (_what, content) => {
  expect((await create({ name: "bad", content: await content })).json).toMatchObject({ status: 400, details: { field: "content" } });
  expect(await volumes()).toEqual([]);
});

test("failed content leaves no new volume, and an existing one stays", async () => {
  // Mounting fails, because the folder doesn't exist.
  const broken = { driver_opts: { type: "none", o: "bind", device: `${root}/no/such/folder` } };
  const content = await tarGz64({ a: "" });
  expect((await create({ name: "broken", content, ...broken })).status).toBeGreaterThanOrEqual(400);
  expect(await volumes()).toEqual([]);
  await create({ name: "broken", ...broken });
  expect((await create({ name: "broken", content, ...broken })).status).toBeGreaterThanOrEqual(400);
  expect(await volumes()).toEqual(["broken"]);
});

test("a failed request doesn't remove a volume that a concurrent one created", async () => {
  // The second of them always fails: one has a file where the other has a folder.
  const contents = await Promise.all([tarGz64({ a: "file" }), tarGz64({ "a/": { type: "directory" }, "a/b": "deep" })]);
  const wrong = { command: "no-such-command", volumes: { "/v": { type: "volume", name: "shared" } } };
  for (let round = 0; round < 8; round += 1) {
    const [one, other, run] = await Promise.all([
      ...contents.map((content) => create({ name: "shared", content })),
      ...(round % 2 === 0 ? [] : [oneOff(node, wrong)]),
    ]);
    if (run) expect(run.status).toBe(400);
    const succeeded = [one, other].map((answer) => answer?.status === 200);
    expect(await volumes()).toEqual(succeeded.includes(true) ? ["shared"] : []);
    if (succeeded[0]) expect((await untarGz64((await node.request("GET", "/volumes/shared")).json.content)).a).toBe("file");
    if (succeeded.includes(true)) await node.docker("volume", "rm", "shared");
  }
});

test("the policy applies to driver options, also of others' volumes", async () => {
  for (const driver_opts of [
    { type: "none", o: "bind", device: "/var/run" },
    { type: "tmpfs", o: "rbind", device: "run" },
    { type: "overlay", o: "lowerdir=/run", device: "overlay" },
    { type: "ext4", device: "/dev/sda1" },
  ]) {
    expect((await create({ name: "host", driver_opts })).json).toMatchObject({ status: 403, code: "NOT_ALLOWED" });
  }
  await node.docker("volume", "create", "--opt", "type=none", "--opt", "o=bind", "--opt", "device=run", "theirs");
  const run = await oneOff(node, { command: "ls /v", volumes: { "/v": { type: "volume", name: "theirs" } } });
  expect(run.json).toMatchObject({ status: 403, code: "NOT_ALLOWED" });
  expect((await create({ name: "theirs", content: await tarGz64({ planted: "x" }) })).json).toMatchObject({
    status: 403,
    code: "NOT_ALLOWED",
  });
  expect((await node.request("GET", "/volumes/theirs")).json).toMatchObject({ status: 403, code: "NOT_ALLOWED" });
  const shared = path.join(root, "shared-volume");
  mkdirSync(shared);
  expect((await create({ name: "fine", driver_opts: { type: "none", o: "bind", device: shared } })).status).toBe(200);
});

test("the volumes of runs can't be named, and their containers can't be started, renamed or written to", async () => {
  const content = await tarGz64({ f: "own" });
  const running = oneOff(node, { command: "sh -c 'sleep 3; cat /d/f'", volumes: { "/d:ro": { type: "directory", content } } });
  expect(await runsUnderWay(node, 1)).toBe(true);
  const [name = ""] = await volumes();
  const [{ id, name: container } = { id: "", name: "" }] = await containersOf(node.engine);
  const byRun = await oneOff(node, { command: "true", volumes: { "/v": { type: "volume", name } } });
  expect(byRun.json).toMatchObject({ status: 400, details: { field: "volumes./v.name" } });
  const byRoot = await node.request("PUT", "/", { json: { image: "busybox", volumes: { [name]: "/v" } } });
  expect(byRoot.json).toMatchObject({ status: 400, details: { field: `volumes.${name}` } });
  expect((await create({ name, content })).json).toMatchObject({ status: 400, details: { field: "name" } });
  const mountPoint = await node.docker("volume", "inspect", "--format", "{{.Mountpoint}}", name);
  const byPath = await oneOff(node, { command: "true", volumes: { "/v": { type: "host", host_path: mountPoint } } });
  expect(byPath.json).toMatchObject({ status: 403, details: { field: "volumes./v.host_path" } });
  for (const action of ["start", "restart", "rename"]) {
    const answer = await node.request("POST", `/containers/${id}/${action}`, { json: action === "rename" ? { name: "mine" } : {} });
    expect([action, answer.json]).toMatchObject([action, { status: 403, code: "NOT_ALLOWED", details: { field: "id" } }]);
  }
  expect((await containersOf(node.engine)).map((each) => each.name)).toEqual([container]);
  expect((await running).json).toMatchObject({ stdout: "own", exit_code: 0 });
});

describe("with bind_roots", () => {
  const put = (json: object) => node.request("PUT", "/", { json: { image: "busybox", data: "sleep 1000", detach: true, ...json } });
  afterEach(async () => {
    for (const { id } of await containersOf(node.engine)) await node.docker("rm", "--force", id);
  });

  test("a container whose folder was replaced by a link that leads out is neither started nor restarted", async () => {
    const folder = path.join(root, "swapped");
    mkdirSync(folder);
    await node.docker("volume", "create", "--opt", "type=none", "--opt", "o=bind", "--opt", `device=${folder}`, "by-name");
    for (const [name, source] of [
      ["by-path", folder],
      ["by-volume", "by-name"],
    ] as const) {
      expect((await put({ name, volumes: { [source]: "/d" } })).status).toBe(200);
      await node.docker("kill", name);
    }
    renameSync(folder, `${folder}-aside`);
    symlinkSync("/etc", folder);
    for (const name of ["by-path", "by-volume"]) {
      for (const action of ["start", "restart"]) {
        const { json } = await node.request("POST", `/containers/${name}/${action}`);
        expect([name, action, json]).toMatchObject([name, action, { status: 403, code: "NOT_ALLOWED", details: { field: "id" } }]);
      }
      // The files of a stopped container are read and written through its mounts.
      const { json } = await node.request("GET", `/containers/${name}/download?path=/d/hostname`);
      expect(json).toMatchObject({ status: 403, code: "NOT_ALLOWED" });
      expect(await node.inspect(name)).toMatchObject({ State: { Running: false } });
    }
  });

  test("a folder below one that another container can write isn't mounted, nor the reverse", async () => {
    const [outer, inner] = [path.join(root, "outer"), path.join(root, "outer/inner")];
    mkdirSync(inner, { recursive: true });
    const refused = { status: 403, code: "NOT_ALLOWED", details: { field: expect.any(String) } };
    expect((await put({ name: "wide", volumes: { [outer]: "/d" } })).status).toBe(200);
    expect((await put({ volumes: { [inner]: "/d" } })).json).toMatchObject(refused);
    const job = await oneOff(node, { command: "true", volumes: { "/v": { type: "host", host_path: inner } } });
    expect(job.json).toMatchObject(refused);
    expect((await put({ name: "same", volumes: { [outer]: "/e" } })).status).toBe(200);
    await node.docker("rm", "--force", "wide", "same");
    expect((await put({ name: "narrow", volumes: { [inner]: "/d" } })).status).toBe(200);
    expect((await put({ volumes: { [outer]: "/d" } })).json).toMatchObject(refused);
    expect((await put({ name: "reader", volumes: { [outer]: "/d:ro" } })).status).toBe(200);
    expect(await node.names()).toEqual(["narrow", "reader"]);
  });

  test("of two containers that are made at once, one of which could change the other's path, at most one runs", async () => {
    const [outer, inner] = [path.join(root, "together"), path.join(root, "together/inner")];
    mkdirSync(inner, { recursive: true });
    for (let turn = 0; turn < 10; turn++) {
      const answers = await Promise.all([
        put({ name: "wide", volumes: { [outer]: "/d" } }),
        put({ name: "narrow", volumes: { [inner]: "/d" } }),
      ]);
      for (const { status, json } of answers) if (status !== 200) expect(json).toMatchObject({ status: 403, code: "NOT_ALLOWED" });
      const running = (await containersOf(node.engine)).filter(({ state }) => state === "running");
      expect(running.length).toBeLessThan(2);
      for (const { id } of await containersOf(node.engine)) await node.docker("rm", "--force", id);
    }
  });

  test("a folder that a container swaps for a link isn't mounted", async () => {
    const outer = path.join(root, "live");
    mkdirSync(outer);
    const swap = "cd /d; while :; do mkdir s; rmdir s; ln -s /etc s; rm s; done";
    expect((await put({ name: "swapper", data: ["sh", "-c", swap], volumes: { [outer]: "/d" } })).status).toBe(200);
    for (let turn = 0; turn < 40; turn++)
      expect((await put({ volumes: { [path.join(outer, "s")]: "/d" } })).status).toBeGreaterThanOrEqual(400);
    expect(await node.names()).toEqual(["swapper"]);
  });

  test("a managed container doesn't get a volume of its name that is a folder outside of them", async () => {
    const cuid = "cabcdefghijklmnopqrstuvwx";
    await node.docker("volume", "create", "--opt", "type=none", "--opt", "o=bind", "--opt", "device=/etc", cuid);
    const { json } = await node.request("POST", "/containers", { json: { cuid, image: "busybox" } });
    expect(json).toMatchObject({ status: 403, code: "NOT_ALLOWED", details: { field: "cuid" } });
    expect([await node.names(), await volumes()]).toEqual([[], [cuid]]);
  });
});

test.each([
  ["name", { name: "-v" }],
  ["name", {}],
  ["driver_opts", { name: "ab", driver_opts: [] }],
  ["labels", { name: "ab", labels: { "a b": "" } }],
])("a wrong %s is a 400 with the field", async (field, json) => {
  expect((await create(json)).json).toMatchObject({ status: 400, details: { field: expect.stringContaining(field) } });
});

test("content beyond the limit is a 413", async () => {
  await oneOff(node, { command: "sh -c 'head -c 1500000 /dev/zero > /v/f'", volumes: { "/v": { type: "volume", name: "big" } } });
  expect((await node.request("GET", "/volumes/big")).json).toMatchObject({ status: 413, code: "CONTENT_TOO_LARGE" });
});

test("volumes are filled and read on an engine without images", async () => {
  const images = new Set((await node.docker("images", "--quiet")).split("\n"));
  await node.docker("rmi", "--force", ...images);
  try {
    expect((await create({ name: "first", content: await tarGz64({ f: "x" }) })).status).toBe(200);
    expect(await untarGz64((await node.request("GET", "/volumes/first")).json.content)).toEqual({ f: "x" });
    expect(await node.docker("images", "--all", "--quiet")).toBe("");
  } finally {
    await importBusybox(node.engine);
  }
});
