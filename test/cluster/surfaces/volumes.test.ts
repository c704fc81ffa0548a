import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { gzipSync } from "node:zlib";
import { tarGz64, tarOf, untarGz64 } from "../../support/archives";
import { startCluster, type TestCluster, type TestNode } from "../../support/cluster";
import { becomesComplete, listHeader, uniqueName, waitForCachedAnswers } from "../../support/cluster-containers";
import { containersOf, volumesOf } from "../../support/engine-api";
import { runsUnderWay } from "../../support/runs";
import { dockerOf } from "../../support/single-node";

/** the only folder of the hosts that may be mounted */
const root = mkdtempSync(path.join(tmpdir(), "docker-server-root-"));
let cluster: TestCluster;
let [n1, n2, n3] = [] as unknown as [TestNode, TestNode, TestNode];
beforeAll(async () => {
  cluster = await startCluster({ size: 3, args: ["--peer_timeout=1500", `--bind_roots=${root}`] });
  [n1, n2, n3] = cluster.nodes as [TestNode, TestNode, TestNode];
});
afterAll(async () => {
  await cluster?.stop();
  rmSync(root, { recursive: true });
});

/**
 * Creates a volume with one file on a node.
 * @param through the node that gets the request
 * @returns the volume's name
 */
async function createVolume(through: TestNode, node: string, text = "content"): Promise<string> {
  const name = uniqueName("volume");
  const answer = await through.request("POST", `/volume?node=${node}`, { json: { name, content: await tarGz64({ file: text }) } });
  expect([answer.status, answer.headers.get("x-volume-host")]).toEqual([200, node]);
  return name;
}

const runWithVolume = (node: TestNode, command: string, volume: string) =>
  node.request("POST", "/run", {
    json: { image: "busybox", pull_policy: "never", command, volumes: { "/v": { type: "volume", name: volume } } },
  });

test("every node lists the volumes of all nodes with their hosts, as a complete list", async () => {
  const created = [await createVolume(n1, "n1"), await createVolume(n1, "n2"), await createVolume(n1, "n3")];
  for (const node of cluster.nodes) {
    const { json, headers } = await node.request("GET", "/volumes");
    expect(json).toMatchObject({ complete: true, missing: [] });
    const hosts = created.map((name) =>
      json.volumes.filter((each: { name: string }) => each.name === name).map((each: { host: string }) => each.host),
    );
    expect(hosts).toEqual([["n1"], ["n2"], ["n3"]]);
    expect((headers.get("x-cluster-nodes") ?? "").split(", ").sort()).toEqual(["n1", "n2", "n3"]);
  }
  expect((await n1.request("GET", "/volumes?node=n3")).json.volumes.map((each: { host: string }) => each.host)).toEqual(["n3"]);
});

test("a volume is read, used and removed through a node that doesn't have it", async () => {
  const name = await createVolume(n1, "n2", "far away");
  const { json } = await n3.request("GET", `/volumes/${name}`);
  expect(json.host).toBe("n2");
  expect(await untarGz64(json.content)).toMatchObject({ file: "far away" });
  const run = await runWithVolume(n1, "cat /v/file", name);
  expect(run.json).toMatchObject({ status: "success", stdout: "far away", host: "n2" });
  expect((await n1.request("DELETE", `/volumes/${name}`)).json).toEqual({ name, removed: true, host: "n2" });
  expect((await n3.request("GET", `/volumes/${name}`)).json).toMatchObject({ status: 404, code: "VOLUME_NOT_FOUND" });
});

test("a volume created again gets its content on the node that has it already", async () => {
  const name = await createVolume(n1, "n3", "old");
  const again = await n2.request("POST", "/volume", { json: { name, content: await tarGz64({ file: "new" }) } });
  expect(again.headers.get("x-volume-host")).toBe("n3");
  expect((await runWithVolume(n1, "cat /v/file", name)).json).toMatchObject({ stdout: "new", host: "n3" });
});

test("a volume name on two nodes is a 409 that lists both, and ?node= selects one", async () => {
  const name = await createVolume(n1, "n1", "first");
  await n2.engine.docker(["volume", "create", name]);
  expect((await n3.request("DELETE", `/volumes/${name}`)).json).toMatchObject({
    status: 409,
    code: "AMBIGUOUS_VOLUME",
    details: { candidates: expect.arrayContaining(["n1", "n2"]) },
  });
  expect((await n3.request("DELETE", `/volumes/${name}?node=n2`)).json).toMatchObject({ removed: true, host: "n2" });
  expect((await n3.request("GET", `/volumes/${name}`)).json).toMatchObject({ host: "n1" });
});

test("with a missing node, the list is incomplete and a volume not found is a 503", async () => {
  const name = await createVolume(n1, "n2");
  n2.server.process.signal("SIGSTOP");
  try {
    await waitForCachedAnswers();
    const answer = await n1.request("GET", "/volumes");
    expect(answer.json).toMatchObject({ complete: false, missing: ["n2"] });
    expect(listHeader(answer, "x-cluster-missing")).toEqual(["n2"]);
    expect((await n3.request("GET", `/volumes/${name}`)).json).toMatchObject({
      status: 503,
      code: "NODES_MISSING",
      details: { missing: [{ node: "n2" }] },
    });
  } finally {
    n2.server.process.signal("SIGCONT");
  }
  expect(await becomesComplete(cluster)).toBe(true);
  expect((await n3.request("GET", `/volumes/${name}`)).json).toMatchObject({ host: "n2" });
});

describe("through another node", () => {
  test("the volumes of a run can't be named, and its container can't be started, renamed or written to", async () => {
    const volumes = { "/d:ro": { type: "directory", content: await tarGz64({ f: "own" }) } };
    const running = n1.request("POST", "/run?node=n2", {
      json: { image: "busybox", pull_policy: "never", command: "sleep 1000", volumes },
    });
    expect(await runsUnderWay(n2, 1)).toBe(true);
    const name = (await volumesOf(n2.engine)).find((each) => each.startsWith("docker-server-job-")) as string;
    const [{ id } = { id: "" }] = await containersOf(n2.engine);
    const byName = { "/v": { type: "volume", name } };
    const inList = { volumes: { [name]: "/v" } };
    for (const [method, place, json, field] of [
      ["POST", "/run?node=n2", { image: "busybox", command: "true", volumes: byName }, "volumes./v.name"],
      ["PUT", "/?node=n2", { image: "busybox", ...inList }, `volumes.${name}`],
      ["POST", "/containers?node=n2", { image: "busybox", ...inList }, `volumes.${name}`],
      ["POST", "/containers/run?node=n2", { image: "busybox", container_port: 80, volumes: [`${name}:/v`] }, "volumes.0"],
      ["POST", "/volume?node=n2", { name, content: await tarGz64({ f: "other" }) }, "name"],
    ] as const)
      expect([place, (await n3.request(method, place, { json })).json]).toMatchObject([place, { status: 400, details: { field } }]);
    const create = { Image: "busybox", HostConfig: { Binds: [`${name}:/v`] } };
    const created = await n3.request("POST", "/v1.41/containers/create", { json: create });
    expect([created.status, created.json.message]).toEqual([403, expect.stringContaining("docker-server-job-")]);
    const at = `/containers/${id}`;
    for (const [place, json] of [
      [`${at}/start`, {}],
      [`${at}/restart`, {}],
      [`${at}/rename`, { name: "mine" }],
    ] as const)
      expect([place, (await n3.request("POST", place, { json })).json]).toMatchObject([place, { status: 403, details: { field: "id" } }]);
    for (const action of ["restart", "rename?name=mine"])
      expect([action, (await n3.request("POST", `/v1.41${at}/${action}`)).status]).toEqual([action, 403]);
    expect((await n3.request("DELETE", `/v1.41/volumes/${name}`)).status).toBeGreaterThanOrEqual(400);
    expect((await containersOf(n2.engine)).map((each) => each.id)).toEqual([id]);
    expect((await n3.request("POST", `${at}/stop?timeout=0`)).status).toBe(200);
    expect((await running).json).toMatchObject({ exit_code: 137 });
  });

  test("a container whose folder was replaced by a link that leads out is neither started nor restarted", async () => {
    const folder = path.join(root, "swapped");
    mkdirSync(folder);
    const name = uniqueName("swapped");
    const json = { image: "busybox", name, detach: true, data: "sleep 1000", volumes: { [folder]: "/d" } };
    expect((await n1.request("PUT", "/?node=n2", { json })).status).toBe(200);
    await dockerOf(n2.engine, ["kill", name]);
    renameSync(folder, `${folder}-aside`);
    symlinkSync("/etc", folder);
    const refused = { status: 403, code: "NOT_ALLOWED", details: { field: "id" } };
    for (const action of ["start", "restart"])
      expect((await n3.request("POST", `/containers/${name}/${action}`)).json).toMatchObject(refused);
    expect((await n3.request("POST", `/v1.41/containers/${name}/start`)).status).toBe(403);
    expect((await n3.request("GET", `/containers/${name}/download?path=/d/hostname`)).json).toMatchObject({ ...refused, details: {} });
    expect((await containersOf(n2.engine)).map(({ state }) => state)).toEqual(["exited"]);
    expect((await n3.request("DELETE", `/${name}`)).status).toBe(200);
  });

  test("a managed container doesn't get a volume of its name that is a folder of the host", async () => {
    const cuid = "cabcdefghijklmnopqrstuvwx";
    const options = ["type=none", "o=bind", "device=/etc"].flatMap((each) => ["--opt", each]);
    await dockerOf(n2.engine, ["volume", "create", ...options, cuid]);
    const { json } = await n1.request("POST", "/containers?node=n2", { json: { cuid, image: "busybox" } });
    expect(json).toMatchObject({ status: 403, code: "NOT_ALLOWED", details: { field: "cuid" } });
    expect(await containersOf(n2.engine)).toEqual([]);
    await dockerOf(n2.engine, ["volume", "rm", cuid]);
  });

  test("an archive with two links of one name is refused with the name", async () => {
    const links = ["../../../etc", "ok"].map((linkname) => ({ name: "l", type: "symlink" as const, linkname }));
    const content = gzipSync(await tarOf(links)).toString("base64");
    const made = await n1.request("POST", "/volume?node=n2", { json: { name: uniqueName("links"), content } });
    expect(made.json).toMatchObject({ status: 400, details: { field: "content", entry: "l" } });
    const volumes = { "/d": { type: "directory", content } };
    const run = await n1.request("POST", "/run?node=n2", { json: { image: "busybox", pull_policy: "never", command: "true", volumes } });
    expect(run.json).toMatchObject({ status: 400, details: { field: "volumes./d.content", entry: "l" } });
  });
});
