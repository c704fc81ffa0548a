import { type Entries, tarGz64 } from "../../support/archives";
import { startCluster, type TestCluster, type TestNode } from "../../support/cluster";
import { uniqueName } from "../../support/cluster-containers";
import { comesBackTo, everythingOn, oneOff } from "../../support/runs";

let cluster: TestCluster;
beforeAll(async () => {
  cluster = await startCluster({ size: 2 });
});
afterAll(() => cluster?.stop());

const holdersOf = async (volume: string) => {
  const found = await Promise.all(
    cluster.nodes.map(async ({ engine, name }) => ((await engine.docker(["volume", "inspect", volume])).code === 0 ? [name] : [])),
  );
  return found.flat();
};
const makeVolume = async (through: TestNode, name: string, entries: Entries, query = "") =>
  through.request("POST", `/volume${query}`, { json: { name, content: await tarGz64(entries) } });

test("a run with a volume goes to the volume's node, from any entry node", async () => {
  for (const [index, holder] of cluster.nodes.entries()) {
    const name = uniqueName("data");
    expect((await makeVolume(cluster.nodes[0] as TestNode, name, { f: holder.name }, `?node=${holder.name}`)).status).toBe(200);
    expect(await holdersOf(name)).toEqual([holder.name]);
    for (const through of cluster.nodes) {
      const { json } = await oneOff(through, { command: "cat /v/f", volumes: { "/v": { type: "volume", name } } });
      expect([index, json.stdout, json.host]).toEqual([index, holder.name, holder.name]);
    }
  }
});

test("an existing volume gets more content on its node, from any entry node", async () => {
  const name = uniqueName("once");
  for (const through of [...cluster.nodes, ...cluster.nodes])
    expect((await makeVolume(through, name, { [through.name]: "" })).status).toBe(200);
  expect(await holdersOf(name)).toHaveLength(1);
});

test("runs through any node return the same and leave nothing on any engine", async () => {
  const before = await Promise.all(cluster.nodes.map((node) => everythingOn(node)));
  const volumes = {
    "/in": { type: "directory", content: await tarGz64({ f: "text" }), response: true },
    "/ro:ro": { type: "file", content: "aGk=" },
  };
  const answers = await Promise.all(
    cluster.nodes.flatMap((from) =>
      cluster.nodes.map((to) =>
        from.request("POST", `/run?node=${to.name}`, {
          json: { image: "busybox", pull_policy: "never", command: ["sh", "-c", "cat /in/f /ro; exit 3"], volumes },
        }),
      ),
    ),
  );
  for (const { status, json } of answers)
    expect([status, json.status, json.stdout, Object.keys(json.volumes)]).toEqual([200, "error: 3", "texthi", ["/in"]]);
  expect(new Set(answers.map(({ json }) => json.host)).size).toBe(2);
  for (const [index, node] of cluster.nodes.entries()) expect(await comesBackTo(node, before[index] as string[])).toBe(true);
});

test("an invalid run gets the same error from any node", async () => {
  for (const { name } of cluster.nodes) {
    const answer = await cluster.nodes[0]?.request("POST", `/run?node=${name}`, {
      json: {
        image: "busybox",
        pull_policy: "never",
        command: "true",
        volumes: { "/d": { type: "directory", content: await tarGz64({ "../x": "" }) } },
      },
    });
    expect(answer?.json).toMatchObject({ status: 400, details: { field: "volumes./d.content", entry: "../x" } });
  }
});
