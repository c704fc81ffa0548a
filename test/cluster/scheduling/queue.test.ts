import { setTimeout as sleep } from "node:timers/promises";
import { until } from "../../../scripts/process";
import { startCluster, type TestCluster, type TestNode } from "../../support/cluster";
import { becomesComplete, locate, removeAllContainers, sleeper, startContainer, uniqueName } from "../../support/cluster-containers";
import { type PendingRequest, startRequest, startRuns } from "../../support/pending-requests";

const DEADLINE = 20_000;
const QUEUE_LENGTH = 2;
const WAITING = ["--queue_wait=120", `--queue_length=${QUEUE_LENGTH}`, "--run_wait=600", "--run_max_time=600"];

let cluster: TestCluster;
/** n1 refuses at once, n2 lets runs wait. */
let [n1, n2] = [] as unknown as [TestNode, TestNode];
let memory: number;
beforeAll(async () => {
  cluster = await startCluster({ size: 2 });
  [n1, n2] = cluster.nodes as [TestNode, TestNode];
  const { stdout } = await n1.engine.docker(["info", "--format", "{{.MemTotal}}"]);
  memory = Number(stdout);
  await restart(n2, WAITING);
});
afterAll(() => cluster.stop());
afterEach(() => removeAllContainers(cluster), 60_000);

async function restart(node: TestNode, args: string[]): Promise<void> {
  await node.server.stop();
  await cluster.restart(node, args);
  expect(await becomesComplete(cluster)).toBe(true);
}

/** Takes more than half of a node's memory: no node has room for two. */
const large = () => ({ memory: String(Math.floor(memory * 0.6)), network: "none" });

/** Puts a large container on each node; returns their names in the order of the nodes. */
async function fill(): Promise<[string, string]> {
  const [one, other] = await Promise.all([n1, n2].map((node) => startContainer(node, large(), node.name)));
  return [one?.name ?? "", other?.name ?? ""];
}

const remove = async (name: string) => expect((await n1.request("DELETE", `/${name}`)).status).toBe(200);
const names = (count: number) => Array.from({ length: count }, () => uniqueName("queued"));

test("without a queue a run that no node can take is refused at once, with all reasons and Retry-After", async () => {
  await fill();
  const { status, headers, json } = await n1.request("PUT", "/", { json: sleeper(large()) });
  expect({ status, json }).toMatchObject({ status: 503, json: { error: "unavailable", code: "NO_NODE" } });
  expect(Number(headers.get("retry-after"))).toBeGreaterThan(0);
  const reason = "not enough memory is left unreserved";
  expect([...json.details.nodes].sort((a, b) => a.node.localeCompare(b.node))).toEqual([
    { node: "n1", reason },
    { node: "n2", reason },
  ]);
  expect(json.message).toContain(`n1: ${reason}`);
});

test("a host port taken on every node is the reason in the 409; a run without it is placed", async () => {
  for (const node of [n1, n2]) await startContainer(node, { ports: { "18080": "80" } }, node.name);
  const { status, json } = await n1.request("PUT", "/", { json: sleeper({ ports: { "18080": "80" } }) });
  expect(status).toBe(409);
  for (const { reason } of json.details.nodes) expect(reason).toBe("port 18080/tcp is taken");
  await startContainer(n1, { network: "none" });
});

test.each<[string, (size: number) => PendingRequest]>([
  ["a run that is waited for", (size) => startRequest(n1, "PUT", "/?node=n2", sleeper({ memory: String(size), detach: false }))],
  [
    "a one-off run",
    (memory) => startRequest(n1, "POST", "/run?node=n2", { image: "busybox", pull_policy: "never", command: "sleep 100000", memory }),
  ],
])("the memory of %s is counted once while it runs: a second run that fits is accepted", async (_what, run) => {
  await startContainer(n1, large(), "n1");
  const size = Math.floor(memory * 0.45);
  const running = run(size);
  expect(await until(async () => (await n2.engine.docker(["ps", "--quiet"])).stdout !== "", DEADLINE)).toBe(true);
  const { json } = await n2.request("PUT", "/", { json: sleeper({ memory: String(size), network: "none" }) });
  expect(json).toMatchObject({ host: "n2" });
  expect(running.answered()).toBe(false);
  running.abort();
});

test("a waiting run is placed on the node that gets room, and does not delay a run that fits", async () => {
  const [, onSecond] = await fill();
  const [name = ""] = names(1);
  const [run] = await startRuns(n2, [name], large());
  expect(run?.answered()).toBe(false);
  await startContainer(n2, { network: "none" });
  expect(await locate(cluster, name)).toEqual([]);
  await remove(onSecond);
  expect(await run?.answer).toMatchObject({ status: 200, json: { name, host: "n2" } });
  expect(await locate(cluster, name)).toEqual(["n2:running"]);
});

test("room for one run goes to the first in the queue, then to the next", async () => {
  const [onFirst, onSecond] = await fill();
  const [one = "", other = ""] = names(2);
  const [first, second] = await startRuns(n2, [one, other], large());
  await remove(onFirst);
  expect(await first?.answer).toMatchObject({ status: 200, json: { host: "n1" } });
  await sleep(1500);
  expect(second?.answered()).toBe(false);
  expect(await locate(cluster, other)).toEqual([]);
  await remove(onSecond);
  expect(await second?.answer).toMatchObject({ status: 200, json: { host: "n2" } });
});

test("room for two runs goes to both that wait", async () => {
  const filled = await fill();
  const runs = await startRuns(n2, names(2), large());
  await Promise.all(filled.map(remove));
  const answers = await Promise.all(runs.map(({ answer }) => answer));
  expect(answers.map(({ status }) => status)).toEqual([200, 200]);
  expect(answers.map(({ json }) => json.host).sort()).toEqual(["n1", "n2"]);
});

test("with a full queue one more run is refused at once with the reasons", async () => {
  const filled = await fill();
  const runs = await startRuns(n2, names(QUEUE_LENGTH), large());
  const { status, json } = await n2.request("PUT", "/", { json: sleeper(large()) });
  expect({ status, json }).toMatchObject({ status: 503, json: { code: "NO_NODE", details: { nodes: [{}, {}] } } });
  expect(runs.some((run) => run.answered())).toBe(false);
  await Promise.all(filled.map(remove));
  for (const { answer } of runs) expect((await answer).status).toBe(200);
});

test.each([
  ["the first", 0],
  ["the last", 1],
])(
  "when the client of %s waiting run disconnects, its place is free at once and its container is never created",
  async (_which, leaving) => {
    const filled = await fill();
    const [one = "", other = "", late = ""] = names(3);
    const abandoned = [one, other][leaving] ?? "";
    const runs = await startRuns(n2, [one, other], large());
    runs[leaving]?.abort();
    const entered = async () => {
      const [run] = await startRuns(n2, [late], large());
      if (run?.answered()) return false;
      runs.push(run as (typeof runs)[number]);
      return true;
    };
    expect(await until(entered, DEADLINE)).toBe(true);
    await Promise.all(filled.map(remove));
    const stayed = runs.filter((_run, index) => index !== leaving);
    for (const { answer } of stayed) expect((await answer).status).toBe(200);
    expect(await locate(cluster, abandoned)).toEqual([]);
  },
  60_000,
);

test("room that appears as the client disconnects is not given to its run", async () => {
  const [onFirst] = await fill();
  const [abandoned = "", next = ""] = names(2);
  const [run] = await startRuns(n2, [abandoned], large());
  const removed = remove(onFirst);
  run?.abort();
  await removed;
  const after = startRequest(n2, "PUT", "/", sleeper({ name: next, ...large() }));
  expect((await after.answer).status).toBe(200);
  expect(await locate(cluster, abandoned)).toEqual([]);
});

test("a node that is stopped answers its waiting runs at once", async () => {
  await fill();
  const runs = await startRuns(n2, names(QUEUE_LENGTH), large());
  await n2.server.stop("SIGTERM");
  for (const { answer } of runs) expect(await answer).toMatchObject({ status: 503, json: { code: "STOPPING" } });
  await cluster.restart(n2, WAITING);
  expect(await becomesComplete(cluster)).toBe(true);
});

test("a run that waited too long is refused with the reasons, and its place is free", async () => {
  await restart(n2, ["--queue_wait=2", "--queue_length=1"]);
  await fill();
  for (let round = 0; round < 2; round += 1) {
    const run = startRequest(n2, "PUT", "/", sleeper(large()));
    await sleep(1000);
    expect(run.answered()).toBe(false);
    expect(await run.answer).toMatchObject({
      status: 503,
      json: { code: "NO_NODE", details: { nodes: [{ reason: expect.any(String) }, { reason: expect.any(String) }] } },
    });
  }
});
