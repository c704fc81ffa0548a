import { randomUUID } from "node:crypto";
import autocannon from "autocannon";
import { startCluster, type TestCluster, type TestNode } from "../test/support/cluster";
import { CREDENTIALS } from "./bed";
import { compareNumbers, type Pair, timed } from "./compare";
import { HttpClient } from "./http-client";

const SIZE = 3;
const CONTAINERS = 30;
const LIST_ROUNDS = 5;
const SECONDS = 1;
const ROUNDS = 40;
const IMAGE = "busybox";
const LINES = "i=0; while [ $i -lt 100 ]; do i=$((i+1)); echo line $i of a log; done; sleep 6000";
/** ms that another node's having the container may add */
const OVERHEAD = 3;

/** Three nodes against one, and the way through another node against the straight one. */
export async function benchCluster(): Promise<Pair[]> {
  const one = await startCluster({ size: 1 });
  try {
    const three = await startCluster({ size: SIZE });
    try {
      return [...(await lists(one, three)), ...(await throughAnother(three))];
    } finally {
      await three.stop();
    }
  } finally {
    await one.stop();
  }
}

/** The list of the same number of containers, all on one node or spread over three. */
async function lists(one: TestCluster, three: TestCluster): Promise<Pair[]> {
  for (const { nodes } of [one, three]) {
    for (const { engine } of nodes) {
      for (let made = 0; made < CONTAINERS / nodes.length; made++) await engine.docker(["create", IMAGE]);
    }
  }
  const pairs: Pair[] = [];
  for (const concurrency of [1, 16]) {
    const time = (cluster: TestCluster) => listTime(cluster.nodes[0] as TestNode, concurrency);
    const what = `list of ${CONTAINERS}, ${concurrency} at a time: one node, three nodes`;
    const { near, far } = await compareNumbers(what, LIST_ROUNDS, { near: () => time(one), far: () => time(three) });
    pairs.push({ what, near, far, atMost: { ratio: 1.5 } });
  }
  return pairs;
}

/** ms that a request takes on average. */
async function listTime({ server }: TestNode, concurrency: number): Promise<number> {
  const result = await autocannon({ url: `${server.url}/`, headers: CREDENTIALS, connections: concurrency, duration: SECONDS });
  const failed = result.non2xx + result.errors + result.timeouts;
  if (failed > 0) throw new Error(`${failed} of the requests to ${server.url} failed`);
  return (1000 * result.duration * concurrency) / result.requests.total;
}

async function throughAnother({ nodes }: TestCluster): Promise<Pair[]> {
  const [holder, other] = nodes as [TestNode, TestNode];
  const near = clientOf(holder);
  const far = clientOf(other);
  const { id } = await near.askJson("PUT", `/?node=${holder.name}`, { image: IMAGE, detach: true, data: ["sh", "-c", LINES] });
  const run = async (client: HttpClient) => {
    const name = `bench-${randomUUID()}`;
    const took = await timed({
      work: () => client.ask("PUT", `/?node=${holder.name}`, { image: IMAGE, name, detach: true, data: ["sleep", "600"] }),
    });
    await near.ask("DELETE", `/${name}`);
    return took;
  };
  const works: Record<string, (client: HttpClient) => Promise<number>> = {
    logs: (client) => timed({ work: () => client.ask("GET", `/${id}`) }),
    exec: (client) => timed({ work: () => client.ask("POST", `/${id}`, { data: ["echo", "hello"] }) }),
    run,
  };
  const pairs: Pair[] = [];
  for (const [verb, work] of Object.entries(works)) {
    const what = `${verb}: its own node asked, another`;
    const medians = await compareNumbers(what, ROUNDS, { near: () => work(near), far: () => work(far) });
    pairs.push({ what, ...medians, atMost: { more: OVERHEAD } });
  }
  near.close();
  far.close();
  return pairs;
}

function clientOf({ server }: TestNode): HttpClient {
  return new HttpClient({ host: new URL(server.url).hostname, port: server.port }, CREDENTIALS);
}
