import { mkdirSync } from "node:fs";
import path from "node:path";
import { tarGz64, untarGz, untarGz64 } from "../../support/archives";
import { volumesOf } from "../../support/engine-api";
import { importBusybox } from "../../support/images";
import { everythingOn, oneOff } from "../../support/runs";
import { TOKEN } from "../../support/server";
import { type OneNode, startNode } from "../../support/single-node";

let node: OneNode;
let before: string[];
beforeAll(async () => {
  node = await startNode({ name: "runs-volumes", args: ["--run_files=1000000"] });
  before = await everythingOn(node);
});
afterAll(() => node?.stop());
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
  ["a link that leads out", tarGz64({ l: { type: "symlink", linkname: "/etc" } })],
  ["more than it may unpack to", tarGz64({ big: "x".repeat(1_100_000) })],
])("content with %s is a 400, and no volume is created", async (_what, content) => {
  expect((await create({ name: "bad", content: await content })).json).toMatchObject({ status: 400, details: { field: "content" } });
  expect(await volumes()).toEqual([]);
});

test("failed content leaves no new volume, and an existing one stays", async () => {
  // Mounting fails, because the folder doesn't exist.
  const broken = { driver_opts: { type: "none", o: "bind", device: "/no/such/folder" } };
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
  const shared = path.join(node.engine.folder, "shared-volume");
  mkdirSync(shared);
  expect((await create({ name: "fine", driver_opts: { type: "none", o: "bind", device: shared } })).status).toBe(200);
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
