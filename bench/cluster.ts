import { randomUUID } from "node:crypto";
import autocannon from "autocannon";
import { startCluster, type TestCluster, type TestNode } from "../test/support/cluster";
import { CREDENTIALS } from "./bed";
import { compareNumbers, type Pair, timed } from "./compare";
import { HttpClient } from "./http-client";

const CLUSTER_SIZE = 3;
const CONTAINERS = 30;
const LIST_ROUNDS = 5;
const LOAD_SECONDS = 1;
const ROUNDS = 40;
const IMAGE = "busybox";
const PRINT_100_LINES = "i=0; while [ $i -lt 100 ]; do i=$((i+1)); echo line $i of a log; done; sleep 6000";
/** Allowed extra time when another node holds the container. */
const MAX_HOP_MS = 3;

/** Compares three nodes with one, and a request through a peer with a request to the container's own node. */
export async function benchCluster(): Promise<Pair[]> {
  const one = await startCluster({ size: 1 });
  try {
    const three = await startCluster({ size: CLUSTER_SIZE });
    try {
      return [...(await benchLists(one, three)), ...(await benchHop(three))];
    } finally {
      await three.stop();
    }
  } finally {
    await one.stop();
  }
}

/** Lists the same number of containers, on one node or spread over three. */
async function benchLists(one: TestCluster, three: TestCluster): Promise<Pair[]> {
  for (const { nodes } of [one, three]) {
    for (const { engine } of nodes) {
      for (let made = 0; made < CONTAINERS / nodes.length; made++) await engine.docker(["create", IMAGE]);
    }
  }
  const pairs: Pair[] = [];
  for (const concurrency of [1, 16]) {
    const time = (cluster: TestCluster) => listTimeMs(cluster.nodes[0] as TestNode, concurrency);
    const title = `list of ${CONTAINERS}, ${concurrency} at a time: one node, three nodes`;
    const medians = await compareNumbers(title, LIST_ROUNDS, { baseline: () => time(one), measured: () => time(three) });
    pairs.push({ title, ...medians, atMost: { ratio: 1.5 } });
  }
  return pairs;
}

/** Mean time of one request, in ms. */
async function listTimeMs({ server }: TestNode, concurrency: number): Promise<number> {
  const result = await autocannon({ url: `${server.url}/`, headers: CREDENTIALS, connections: concurrency, duration: LOAD_SECONDS });
  const failed = result.non2xx + result.errors + result.timeouts;
  if (failed > 0) throw new Error(`${failed} of the requests to ${server.url} failed`);
  return (1000 * result.duration * concurrency) / result.requests.total;
}

async function benchHop({ nodes }: TestCluster): Promise<Pair[]> {
  const [holder, other] = nodes as [TestNode, TestNode];
  const direct = clientOf(holder);
  const viaPeer = clientOf(other);
  const { id } = await direct.askJson("PUT", `/?node=${holder.name}`, { image: IMAGE, detach: true, data: ["sh", "-c", PRINT_100_LINES] });
  const run = async (client: HttpClient) => {
    const name = `bench-${randomUUID()}`;
    const durationMs = await timed({
      work: () => client.ask("PUT", `/?node=${holder.name}`, { image: IMAGE, name, detach: true, data: ["sleep", "600"] }),
    });
    await direct.ask("DELETE", `/${name}`);
    return durationMs;
  };
  const works: Record<string, (client: HttpClient) => Promise<number>> = {
    logs: (client) => timed({ work: () => client.ask("GET", `/${id}`) }),
    exec: (client) => timed({ work: () => client.ask("POST", `/${id}`, { data: ["echo", "hello"] }) }),
    run,
  };
  const pairs: Pair[] = [];
  for (const [verb, work] of Object.entries(works)) {
    const title = `${verb}: direct, through a peer`;
    const medians = await compareNumbers(title, ROUNDS, { baseline: () => work(direct), measured: () => work(viaPeer) });
    pairs.push({ title, ...medians, atMost: { more: MAX_HOP_MS } });
  }
  direct.close();
  viaPeer.close();
  return pairs;
}

function clientOf({ server }: TestNode): HttpClient {
  return new HttpClient({ host: new URL(server.url).hostname, port: server.port }, CREDENTIALS);
}
