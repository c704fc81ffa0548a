import { until } from "../../scripts/process";
import { startCluster, type TestCluster, type TestNode } from "../support/cluster";
import { becomesComplete } from "../support/cluster-containers";
import { importRunner } from "../support/images";
import { code, everythingOn, oneOff } from "../support/runs";

const RUNS = 120;
const CONCURRENCY = 16;

let cluster: TestCluster;
let n3: TestNode;
beforeAll(async () => {
  cluster = await startCluster({ size: 3, ownEngines: true, args: ["--peer_timeout=5000", "--run_memory=40000000"] });
  n3 = cluster.nodes[2] as TestNode;
  for (const { engine } of cluster.nodes) await importRunner(engine);
});
afterAll(() => cluster?.stop());

/** The outcome of a run through one of the nodes: `answered` for its own output, the code of a clear error, or `wrong: …`. */
async function outcome(index: number): Promise<string> {
  const node = cluster.nodes[index % 3] as TestNode;
  const message = `run ${index}`;
  const { status, json, text } = await (index % 2 === 0 ? code(node, `echo ${message}`) : oneOff(node, { command: ["echo", message] }));
  if (status === 200 && json.stdout?.trim() === message) return "answered";
  if (status >= 500 && typeof json?.code === "string" && typeof json.message === "string") return json.code;
  return `wrong: ${status} ${text.slice(0, 300)}`;
}

test("200 runs, 16 at a time through three nodes, an engine killed midway: each is answered or gets a clear error, nothing is left", async () => {
  const before = await Promise.all(cluster.nodes.map((node) => everythingOn(node)));
  const outcomes: string[] = [];
  let next = 0;
  let killed: Promise<unknown> | undefined;
  const client = async () => {
    while (next < RUNS) {
      const index = next++;
      if (index === RUNS / 2) killed = n3.engine.kill();
      outcomes.push(await outcome(index));
    }
  };
  await Promise.all(Array.from({ length: CONCURRENCY }, client));
  await killed;
  const counts: Record<string, number> = {};
  for (const each of outcomes) counts[each] = (counts[each] ?? 0) + 1;
  expect(Object.keys(counts).filter((each) => each.startsWith("wrong"))).toEqual([]);
  // Only runs in progress on the killed engine may fail.
  expect([counts, (counts.answered ?? 0) >= RUNS - CONCURRENCY]).toEqual([counts, true]);
  await n3.engine.restart();
  expect(await becomesComplete(cluster)).toBe(true);
  for (const { server } of cluster.nodes) await server.stop();
  const contents = async () => JSON.stringify(await Promise.all(cluster.nodes.map((node) => everythingOn(node))));
  await until(async () => (await contents()) === JSON.stringify(before), 60_000);
  expect(JSON.parse(await contents())).toEqual(before);
});
