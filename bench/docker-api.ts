import { randomBytes } from "node:crypto";
import { rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import autocannon from "autocannon";
import { startCluster, type TestCluster, type TestNode } from "../test/support/cluster";
import { configWithHeaders } from "../test/support/docker-commands";
import { TOKEN } from "../test/support/server";
import { type Bed, makeBed } from "./bed";
import { compareNumbers, type Pair, type Task, timed } from "./compare";
import { newContainer, withContainer } from "./container";
import { expectLines, PRINT_COMMAND } from "./logs";

const RUN_ROUNDS = 16;
const SHORT_ROUNDS = 40;
const COPY_ROUNDS = 6;
const COPY_BYTES = 200_000_000;
const LIST_ROUNDS = 5;
const LISTED_CONTAINERS = 100;
const LIST_CONCURRENCY = 16;
const LOAD_SECONDS = 1;
/** Allowed extra time when another node holds the container. */
const MAX_HOP_MS = 5;
const IMAGE = "busybox";
const SLEEP = ["sleep", "600"];

/** Runs a command of the docker CLI at one of two places. @returns its standard output */
type Docker = (args: string[]) => Promise<string>;

/**
 * Compares the docker CLI on an engine's own socket with the same CLI on this server's Docker listener, and a command through the node
 * that holds the container with one through another node.
 */
export async function benchDockerApi(): Promise<Pair[]> {
  const bed = await makeBed();
  const pairs: Pair[] = [];
  try {
    pairs.push(...(await benchCommands(bed)), await benchCopy(bed), await benchLists(bed));
  } finally {
    await bed.close();
  }
  const cluster = await startCluster({ size: 2 });
  try {
    return [...pairs, ...(await benchHop(cluster))];
  } finally {
    await cluster.stop();
  }
}

/** The CLI on the engine's socket and on the listener. */
const sidesOf = (bed: Bed): { baseline: Docker; measured: Docker } => ({
  baseline: (args) => bed.cli(["-H", bed.engine.dockerHost, ...args]),
  measured: (args) => bed.cli(["-H", bed.dockerListener, ...args]),
});

async function comparePlaces<T>(
  title: string,
  rounds: number,
  { baseline, measured }: { baseline: Docker; measured: Docker },
  atMost: Pair["atMost"],
  task: (docker: Docker) => Task<T>,
): Promise<Pair> {
  const medians = await compareNumbers(title, rounds, {
    baseline: () => timed(task(baseline)),
    measured: () => timed(task(measured)),
  });
  return { title, ...medians, atMost };
}

function benchCommands(bed: Bed): Promise<Pair[]> {
  const sides = sidesOf(bed);
  const bar = { ratio: 1.1 };
  return withContainer(bed, SLEEP, (sleeping) =>
    withContainer(bed, PRINT_COMMAND, async (printing) => {
      await bed.raw.ask("POST", `/containers/${printing}/wait`);
      return [
        await comparePlaces("docker run -d: engine, listener", RUN_ROUNDS, sides, bar, (docker) => run(docker, [], bed.cli)),
        await comparePlaces("docker exec true: engine, listener", SHORT_ROUNDS, sides, bar, (docker) => ({
          work: () => docker(["exec", sleeping, "true"]),
        })),
        await comparePlaces("docker logs, 10,000 lines: engine, listener", SHORT_ROUNDS, sides, bar, (docker) => ({
          work: async () => expectLines(await docker(["logs", printing])),
        })),
      ];
    }),
  );
}

/** Starts a container; it is removed by the engine itself, outside the measured time. */
function run(docker: Docker, options: string[], onEngine: Docker): Task<string> {
  const name = `bench-${randomBytes(6).toString("hex")}`;
  return {
    prepare: async () => name,
    work: () => docker(["run", "-d", "--name", name, ...options, IMAGE, ...SLEEP]),
    cleanUp: async () => void (await onEngine(["rm", "--force", name])),
  };
}

async function benchCopy(bed: Bed): Promise<Pair> {
  const file = path.join(bed.engine.folder, "copied");
  writeFileSync(file, randomBytes(COPY_BYTES));
  try {
    return await comparePlaces("docker cp of 200 MB: engine, listener", COPY_ROUNDS, sidesOf(bed), { ratio: 1.15 }, (docker) => ({
      prepare: () => newContainer(bed, SLEEP, false),
      work: (id: string) => docker(["cp", file, `${id}:/tmp/copied`]),
      cleanUp: async (id: string) => void (await bed.raw.ask("DELETE", `/containers/${id}?force=1`)),
    }));
  } finally {
    rmSync(file);
  }
}

/** At least 5 times the engine's requests per second are at most a fifth of its time per request. */
async function benchLists(bed: Bed): Promise<Pair> {
  for (let made = 0; made < LISTED_CONTAINERS; made++) await newContainer(bed, SLEEP, false);
  const title = `list of ${LISTED_CONTAINERS}, ${LIST_CONCURRENCY} at a time, per request: engine, listener`;
  const medians = await compareNumbers(title, LIST_ROUNDS, {
    baseline: () => listTimeMs(bed.engine.dockerHost),
    measured: () => listTimeMs(bed.dockerListener),
  });
  return { title, ...medians, atMost: { ratio: 0.2 } };
}

/** Time per request, in ms: the inverse of the requests per ms. */
async function listTimeMs(dockerHost: string): Promise<number> {
  const result = await autocannon({
    url: "http://docker/containers/json?all=1",
    socketPath: dockerHost.replace("unix://", ""),
    connections: LIST_CONCURRENCY,
    duration: LOAD_SECONDS,
  });
  const failed = result.non2xx + result.errors + result.timeouts;
  if (failed > 0) throw new Error(`${failed} of the lists of ${dockerHost} failed`);
  return (1000 * result.duration) / result.requests.total;
}

async function benchHop({ nodes }: TestCluster): Promise<Pair[]> {
  const [holder, other] = nodes as [TestNode, TestNode];
  const config = configWithHeaders({ "X-Access-Token": TOKEN });
  const file = path.join(config, "config.json");
  const at = (host: string): Docker => {
    return async (args) => {
      const { code, stdout, stderr } = await holder.engine.docker(["--config", config, "-H", host, ...args]);
      if (code !== 0) throw new Error(`docker -H ${host} ${args.join(" ")}: exit code ${code}: ${stderr}`);
      return stdout;
    };
  };
  const through = ({ server }: TestNode) => at(server.url.replace("http", "tcp"));
  const sides = { baseline: through(holder), measured: through(other) };
  const onEngine = at(holder.engine.dockerHost);
  const here = ["-e", `constraint:node==${holder.name}`];
  try {
    const [sleeping, printing] = ["sleeping", "printing"];
    await onEngine(["run", "-d", "--name", sleeping, IMAGE, ...SLEEP]);
    await onEngine(["run", "--name", printing, IMAGE, ...PRINT_COMMAND]);
    const works: Record<string, (docker: Docker) => Task<string>> = {
      "run -d": (docker) => run(docker, here, onEngine),
      "exec true": (docker) => ({ work: () => docker(["exec", sleeping, "true"]) }),
      "logs, 10,000 lines": (docker) => ({ work: async () => expectLines(await docker(["logs", printing])) }),
      "cp of a small file": (docker) => ({ work: () => docker(["cp", file, `${sleeping}:/tmp/copied`]) }),
    };
    const pairs: Pair[] = [];
    for (const [command, task] of Object.entries(works)) {
      const title = `docker ${command}: its node, another node`;
      pairs.push(await comparePlaces(title, SHORT_ROUNDS, sides, { more: MAX_HOP_MS }, task));
    }
    return pairs;
  } finally {
    rmSync(config, { recursive: true });
  }
}
