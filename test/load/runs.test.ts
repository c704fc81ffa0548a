import { until } from "../../scripts/process";
import { startCluster, type TestCluster, type TestNode } from "../support/cluster";
import { becomesComplete } from "../support/cluster-containers";
import { importRunner } from "../support/images";
import { code, everythingOn, oneOff } from "../support/runs";

jest.setTimeout(400_000);

const RUNS = 1000;
const AT_A_TIME = 16;

let cluster: TestCluster;
let n3: TestNode;
beforeAll(async () => {
  cluster = await startCluster({ size: 3, ownEngines: true, args: ["--peer_timeout=2000", "--run_memory=40000000"] });
  n3 = cluster.nodes[2] as TestNode;
  for (const { engine } of cluster.nodes) await importRunner(engine);
});
afterAll(() => cluster?.stop());

/** What a run through one of the nodes comes to: its own output, or an error that says what it is; all else is wrong. */
async function outcome(index: number): Promise<string> {
  const node = cluster.nodes[index % 3] as TestNode;
  const say = `run ${index}`;
  const { status, json, text } = await (index % 2 === 0 ? code(node, `echo ${say}`) : oneOff(node, { command: ["echo", say] }));
  if (status === 200 && json.stdout?.trim() === say) return "answered";
  if (status >= 500 && typeof json?.code === "string" && typeof json.message === "string") return json.code;
  return `wrong: ${status} ${text.slice(0, 300)}`;
}

test("1,000 runs, 16 at a time through three nodes, an engine killed midway: each is answered or gets a clear error, nothing is left", async () => {
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
  await Promise.all(Array.from({ length: AT_A_TIME }, client));
  await killed;
  const counts: Record<string, number> = {};
  for (const each of outcomes) counts[each] = (counts[each] ?? 0) + 1;
  expect(Object.keys(counts).filter((each) => each.startsWith("wrong"))).toEqual([]);
  // Only what was under way on the engine that died may have failed.
  expect(counts.answered).toBeGreaterThanOrEqual(RUNS - AT_A_TIME);
  await n3.engine.restart();
  expect(await becomesComplete(cluster)).toBe(true);
  for (const { server } of cluster.nodes) await server.stop();
  const left = async () => JSON.stringify(await Promise.all(cluster.nodes.map((node) => everythingOn(node))));
  await until(async () => (await left()) === JSON.stringify(before), 60_000);
  expect(JSON.parse(await left())).toEqual(before);
});
