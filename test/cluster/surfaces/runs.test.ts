import { until } from "../../../scripts/process";
import { startCluster, type TestCluster, type TestNode } from "../../support/cluster";
import { becomesComplete, uniqueName } from "../../support/cluster-containers";
import { importRunner } from "../../support/images";
import { code, oneOff } from "../../support/runs";

const DEADLINE_MS = 30_000;

let cluster: TestCluster;
let [n1, n2, n3] = [] as unknown as [TestNode, TestNode, TestNode];
beforeAll(async () => {
  cluster = await startCluster({
    ownEngines: true,
    size: 3,
    args: ["--peer_timeout=2000", "--run_memory=40000000", "--run_concurrency=2", "--run_wait=20"],
  });
  [n1, n2, n3] = cluster.nodes as [TestNode, TestNode, TestNode];
});
afterAll(() => cluster?.stop());

interface NodeStatus {
  name: string;
  runs: { running: number; waiting: number };
}
const queues = async () => {
  const { json } = await n1.request("GET", "/nodes");
  return Object.fromEntries((json.nodes as NodeStatus[]).map(({ name, runs }) => [name, runs]));
};
const idle = { running: 0, waiting: 0 };
const becomes = (wanted: object) => until(async () => JSON.stringify(await queues()) === JSON.stringify(wanted), DEADLINE_MS);
const busy = (node: TestNode, seconds: number) => oneOff(node, { command: ["sleep", String(seconds)] });
const warm = async ({ server }: TestNode) =>
  Number(/docker_server_runs\{state="warm"\} (\d+)/.exec((await server.request("GET", "/metrics")).text)?.[1]);

test("a code run through any node runs where its image is, and only that node keeps sandboxes warm", async () => {
  await importRunner(n2.engine, "code-runner:latest");
  for (const [index, node] of [...cluster.nodes, ...cluster.nodes].entries())
    expect((await code(node, `echo ${index}`)).json).toEqual({ stdout: `${index}`, stderr: "", error: "" });
  expect(await until(async () => (await warm(n2)) > 0, DEADLINE_MS)).toBe(true);
  expect([await warm(n1), await warm(n3)]).toEqual([0, 0]);
  const sandboxes = async () => (await n2.engine.docker(["ps", "--quiet"])).stdout.split("\n").filter(Boolean);
  const before = await sandboxes();
  await code(n3, "echo used");
  const usedUp = async () => {
    const now = await sandboxes();
    return before.some((id) => !now.includes(id));
  };
  expect(await until(usedUp, DEADLINE_MS)).toBe(true);
});

test("runs through one node go to nodes with room, then queue, and GET /nodes shows the counts", async () => {
  const six = Array.from({ length: 6 }, () => busy(n1, 5));
  const full = { running: 2, waiting: 0 };
  expect(await becomes({ n1: full, n2: full, n3: full })).toBe(true);
  const seventh = await busy(n3, 0);
  expect(seventh.json).toMatchObject({ status: "success" });
  for (const answer of await Promise.all(six)) expect(answer.json).toMatchObject({ status: "success" });
  expect(await becomes({ n1: idle, n2: idle, n3: idle })).toBe(true);
});

test("a run that waits too long is a 503 with Retry-After, and waits in no other node's queue", async () => {
  const client = new AbortController();
  const busyAll = ["n1", "n2", "n3"].flatMap((node) =>
    [1, 2].map(() =>
      n1
        .request("POST", `/run?node=${node}`, {
          json: { image: "busybox", pull_policy: "never", command: ["sleep", "100"] },
          signal: client.signal,
        })
        .catch(() => "aborted"),
    ),
  );
  const full = { running: 2, waiting: 0 };
  expect(await becomes({ n1: full, n2: full, n3: full })).toBe(true);
  const queued = busy(n2, 0);
  expect(await until(async () => Object.values(await queues()).some(({ waiting }) => waiting === 1), DEADLINE_MS)).toBe(true);
  const { status, json, headers } = await queued;
  expect([status, json.code]).toEqual([503, "NO_ROOM"]);
  expect(Number(headers.get("retry-after"))).toBeGreaterThan(0);
  const waitingRuns = Object.values(await queues()).reduce((sum, { waiting }) => sum + waiting, 0);
  expect(waitingRuns).toBe(0);
  client.abort();
  await Promise.all(busyAll);
  expect(await becomes({ n1: idle, n2: idle, n3: idle })).toBe(true);
});

test("a live run on another node streams, takes a slot there, and ends when its client disconnects", async () => {
  const name = uniqueName("volume");
  await n2.engine.docker(["volume", "create", name]);
  const client = new AbortController();
  const response = await fetch(`${n1.server.url}/run`, {
    method: "POST",
    headers: { Authorization: "Bearer test-token-Zq7", "Content-Type": "application/json", Accept: "application/x-ndjson" },
    body: JSON.stringify({
      image: "busybox",
      pull_policy: "never",
      command: ["sh", "-c", "echo begun; sleep 1000"],
      volumes: { "/v": { type: "volume", name } },
    }),
    signal: client.signal,
  });
  const { value } = (await response.body?.getReader().read()) ?? {};
  expect(Buffer.from(value as Uint8Array).toString()).toContain("begun");
  expect((await queues()).n2).toEqual({ running: 1, waiting: 0 });
  client.abort();
  expect(
    await until(
      async () => (await n2.engine.docker(["ps", "--all", "--quiet"])).stdout.split("\n").filter(Boolean).length <= (await warm(n2)),
      DEADLINE_MS,
    ),
  ).toBe(true);
  expect(await becomes({ n1: idle, n2: idle, n3: idle })).toBe(true);
  expect(await becomesComplete(cluster)).toBe(true);
});

test("a run that had begun when its engine died is an error that says so, and is not retried elsewhere", async () => {
  for (const { engine } of [n1, n3]) await importRunner(engine);
  const executing = async ({ engine }: TestNode) => {
    const ids = (await engine.docker(["ps", "--quiet"])).stdout.split("\n").filter(Boolean);
    return (await Promise.all(ids.map((id) => engine.docker(["top", id])))).map(({ stdout }) => stdout).join("");
  };
  for (const run of [() => code(n1, "sleep 30"), () => oneOff(n1, { command: ["sleep", "30"] })]) {
    expect(await becomes({ n1: idle, n2: idle, n3: idle })).toBe(true);
    const answer = run();
    const nodeOf = async () => Object.entries(await queues()).find(([, { running }]) => running > 0)?.[0];
    expect(await until(async () => (await nodeOf()) !== undefined, DEADLINE_MS)).toBe(true);
    const name = await nodeOf();
    const node = cluster.nodes.find((each) => each.name === name) as TestNode;
    // A run takes its slot before its command starts.
    expect(await until(async () => (await executing(node)).includes("sleep 30"), DEADLINE_MS)).toBe(true);
    await node.engine.kill();
    const { status, json } = await answer;
    expect([status, json.details.begun]).toEqual([503, true]);
    await node.engine.restart();
    expect(await becomesComplete(cluster)).toBe(true);
  }
});
