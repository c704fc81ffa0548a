import { spawn } from "node:child_process";
import { startCluster, type TestCluster, type TestNode } from "../test/support/cluster";
import { CREDENTIALS } from "./bed";
import { compareNumbers, type Pair, timed } from "./compare";
import type { AbsoluteMeasurement } from "./report";
import { residentMegabytes } from "./start";

const CLUSTER_SIZE = 3;
const MB_PER_NODE = 334;
const ROUNDS = 3;
/** In the first line of each log: a search finds it last. */
const OLDEST = "needle-at-the-beginning";
/** Within the last MB of each log. */
const NEWEST = "needle-at-the-end";
const LINES_PER_MB = 10_000;
const MEMORY_PAUSE_MS = 50;

/** A MB of lines of 100 bytes again and again, between two needles. */
const WRITE_LOG = `
awk 'BEGIN { for (i = 0; i < ${LINES_PER_MB}; i++) printf "%-99s\\n", "INFO request " i " of client 10.0.0." i % 250 " took " i % 77 " ms and was answered with status 200" }' > /part
echo ${OLDEST}
i=0; while [ $i -lt ${MB_PER_NODE} ]; do cat /part; i=$((i+1)); done
echo ${NEWEST}
head -n ${LINES_PER_MB / 2} /part`;

/** The search in 1 GB of logs on three nodes beside `docker logs | grep` on each node at once. */
export async function benchLogSearch(): Promise<{ pairs: Pair[]; own: AbsoluteMeasurement[] }> {
  const cluster = await startCluster({ size: CLUSTER_SIZE });
  try {
    const ids = await writeLogs(cluster);
    const [entry] = cluster.nodes as [TestNode];
    const title = `${CLUSTER_SIZE * MB_PER_NODE} MB on ${CLUSTER_SIZE} nodes: docker logs | grep on each at once, search`;
    const firstHit = "needle in the last MB of each log: until the first line";
    const before = memoryOf(cluster);
    let highest = before;
    const timer = setInterval(() => {
      const now = memoryOf(cluster);
      highest = highest.map((each, index) => Math.max(each, now[index] as number));
    }, MEMORY_PAUSE_MS);
    try {
      const newest = await compareNumbers(firstHit, ROUNDS, { measured: () => firstHitMs(entry) });
      const whole = await compareNumbers(title, ROUNDS, {
        baseline: () => timed({ work: () => Promise.all(cluster.nodes.map((node, index) => grep(node, ids[index] as string))) }),
        measured: () => timed({ work: () => search(entry, OLDEST) }),
      });
      const growth = Math.max(...highest.map((each, index) => each - (before[index] as number)));
      return {
        pairs: [{ title, ...whole, atMost: { ratio: 1 / 0.8 } }],
        own: [
          { title: firstHit, value: newest.measured, unit: "ms", atMost: 300 },
          { title: "search, growth of the server that grows most, at its highest", value: growth, unit: "MB" },
        ],
      };
    } finally {
      clearInterval(timer);
    }
  } finally {
    await cluster.stop();
  }
}

/** @returns the container of each node */
async function writeLogs({ nodes }: TestCluster): Promise<string[]> {
  return Promise.all(
    nodes.map(async ({ engine }) => {
      const run = async (...args: string[]) => {
        const { code, stdout, stderr } = await engine.docker(args);
        if (code !== 0) throw new Error(`docker ${args[0]}: ${stderr}`);
        return stdout.trim();
      };
      const id = await run("run", "--detach", "busybox", "sh", "-c", WRITE_LOG);
      await run("wait", id);
      return id;
    }),
  );
}

const memoryOf = ({ nodes }: TestCluster) => nodes.map(({ server }) => residentMegabytes(server.process.pid));

/** @throws Error unless it finds the line */
function grep({ engine }: TestNode, id: string): Promise<void> {
  const env = { PATH: process.env.PATH, HOME: engine.folder, DOCKER_HOST: engine.dockerHost };
  const child = spawn("sh", ["-c", 'docker logs "$1" 2>&1 | grep -F "$2"', "sh", id, OLDEST], {
    env,
    stdio: ["ignore", "ignore", "inherit"],
  });
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code) => (code === 0 ? resolve() : reject(new Error(`grep: exit code ${code}`))));
  });
}

const ask = (node: TestNode, text: string, signal?: AbortSignal) =>
  fetch(`${node.server.url}/logs/search?q=${text}`, { headers: CREDENTIALS, ...(signal ? { signal } : {}) });

/** @throws Error unless it finds one line on each node */
async function search(node: TestNode, text: string): Promise<void> {
  const events = (await (await ask(node, text)).text()).trim().split("\n");
  const result = JSON.parse(events.at(-1) as string);
  if (result.lines !== CLUSTER_SIZE || !result.complete) throw new Error(`search: ${JSON.stringify(result)}`);
}

/** From the request to the first line found. */
async function firstHitMs(node: TestNode): Promise<number> {
  const ended = new AbortController();
  const durationMs = await timed({
    async work() {
      const response = await ask(node, NEWEST, ended.signal);
      const { value } = (await response.body?.getReader().read()) ?? {};
      if (!Buffer.from(value ?? []).includes(NEWEST)) throw new Error("search: no line came first");
    },
  });
  ended.abort();
  return durationMs;
}
