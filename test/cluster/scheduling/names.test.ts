import { startCluster, type TestCluster } from "../../support/cluster";
import { locate, removeAllContainers, sleeper, uniqueName } from "../../support/cluster-containers";

let cluster: TestCluster;
beforeAll(async () => {
  // 100 runs at once make this machine slow: a longer timeout keeps nodes from being marked missing.
  cluster = await startCluster({ size: 3, args: ["--peer_timeout=5000"] });
});
afterAll(() => cluster.stop());
afterEach(() => removeAllContainers(cluster));

const burst = (count: number, json: object, headers: Record<string, string> = {}) =>
  Promise.all(Array.from({ length: count }, (_, index) => through(index).request("PUT", "/", { json, headers })));
const through = (index: number) => cluster.nodes[index % cluster.nodes.length] as TestCluster["nodes"][number];

describe("100 PUTs of one name at once through all nodes", () => {
  test.each([1, 2, 3])("make exactly one container and 99 clear 409s (round %i)", async () => {
    const name = uniqueName("one");
    const answers = await burst(100, sleeper({ name }));
    const refused = answers.filter(({ status }) => status === 409);
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(1);
    expect(refused).toHaveLength(99);
    expect(new Set(refused.map(({ json }) => json.code))).toEqual(new Set(["NAME_TAKEN"]));
    expect(refused.every(({ json }) => json.message.includes(name))).toBe(true);
    const winner = answers.find(({ status }) => status === 200)?.json;
    expect(await locate(cluster, name)).toEqual([`${winner.host}:running`]);
  });

  test.each([
    ["a command that is not in the image", { data: ["no-such-command"] }, 400],
    ["an absent image that may not be pulled", { image: "no-such-image", pull: "never" }, 404],
  ])("leave no container with %s", async (_, wrong, expected) => {
    const name = uniqueName("none");
    const answers = await burst(60, sleeper({ name, ...wrong }));
    expect(answers.map(({ status }) => status).filter((status) => status !== expected && status !== 409)).toEqual([]);
    expect(answers.some(({ status }) => status === expected)).toBe(true);
    expect(await locate(cluster, name)).toEqual([]);
  });
});

test("after its container was removed, a name can be used again through any node", async () => {
  const name = uniqueName("again");
  for (const node of cluster.nodes) {
    expect((await node.request("PUT", "/", { json: sleeper({ name }) })).status).toBe(200);
    expect((await through(cluster.nodes.indexOf(node) + 1).request("DELETE", `/${name}`)).status).toBe(200);
  }
});

describe("a container that was created and not started keeps its name", () => {
  test.each([0, 1, 2])("directly at the engine of node %i", async (index) => {
    const name = uniqueName("past");
    const { name: node, engine } = through(index);
    await engine.docker(["create", "--name", name, "busybox", "true"]);
    const answers = await burst(30, sleeper({ name }));
    expect(answers.map(({ status }) => status)).toEqual(Array(30).fill(409));
    expect(await locate(cluster, name)).toEqual([`${node}:created`]);
  });

  test("by the Docker API", async () => {
    const name = uniqueName("created");
    const { status, headers } = await through(0).request("POST", `/v1.41/containers/create?name=${name}`, { json: { Image: "busybox" } });
    expect(status).toBe(201);
    const answers = await burst(30, sleeper({ name }));
    expect(answers.map(({ status }) => status)).toEqual(Array(30).fill(409));
    expect(await locate(cluster, name)).toEqual([`${headers.get("x-cluster-nodes")}:created`]);
  });
});

test.each([1, 2, 3])(
  "one Idempotency-Key sent through all nodes at once makes one container, which all reply with (round %i)",
  async () => {
    const answers = await burst(12, sleeper(), { "Idempotency-Key": uniqueName("key") });
    expect(answers.map(({ status, text }) => (status === 200 ? 200 : text))).toEqual(Array(12).fill(200));
    expect(new Set(answers.map(({ json }) => json.id)).size).toBe(1);
    expect(answers.filter(({ json }) => json.repeated !== true)).toHaveLength(1);
    expect(await locate(cluster, answers[0]?.json.name)).toEqual([`${answers[0]?.json.host}:running`]);
  },
);
