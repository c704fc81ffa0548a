import { tarGz64, untarGz64 } from "../../support/archives";
import { startCluster, type TestCluster, type TestNode } from "../../support/cluster";
import { becomesComplete, listHeader, uniqueName, waitForCachedAnswers } from "../../support/cluster-containers";

let cluster: TestCluster;
let [n1, n2, n3] = [] as unknown as [TestNode, TestNode, TestNode];
beforeAll(async () => {
  cluster = await startCluster({ size: 3, args: ["--peer_timeout=1500"] });
  [n1, n2, n3] = cluster.nodes as [TestNode, TestNode, TestNode];
});
afterAll(() => cluster.stop());

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
