import { randomBytes } from "node:crypto";
import { rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import autocannon from "autocannon";
import { startCluster, type TestCluster, type TestNode } from "../test/support/cluster";
import { configWithHeaders } from "../test/support/docker-commands";
import { TOKEN } from "../test/support/server";
import { type Bed, makeBed } from "./bed";
import { compareNumbers, type Pair, type Task, timed } from "./compare";
import { newContainer } from "./container";
import { expectLines, PRINT_COMMAND } from "./logs";

const ROUNDS = 40;
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
/** The containers that commands use. */
const HELD = ["sleeping", "printing"] as const;

/** Runs a command of the docker CLI at one of two places. @returns its standard output */
type Docker = (args: string[]) => Promise<string>;

/** Two ways to the same containers. */
interface Sides {
  baseline: Docker;
  measured: Docker;
}

/** A command that both sides run. */
type Command = (docker: Docker) => Task<string>;

/**
 * Compares the docker CLI on an engine's own socket with the same CLI on this server's Docker listener, and a command through the node
 * that holds the container with one through another node.
 */
export async function benchDockerApi(): Promise<Pair[]> {
  const bed = await makeBed();
  const pairs: Pair[] = [];
  try {
    pairs.push(...(await benchListener(bed)), await benchLists(bed));
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

async function comparePlaces(
  command: string,
  places: string,
  task: Command,
  { sides, atMost, rounds = ROUNDS }: { sides: Sides; atMost: Pair["atMost"]; rounds?: number },
): Promise<Pair> {
  const title = `docker ${command}: ${places}`;
  const medians = await compareNumbers(title, rounds, {
    baseline: () => timed(task(sides.baseline)),
    measured: () => timed(task(sides.measured)),
  });
  return { title, ...medians, atMost };
}

/**
 * Makes the containers of the commands that both comparisons have.
 * @param runOptions of `docker run`
 */
async function commandsOf(onEngine: Docker, runOptions: string[]): Promise<Record<string, Command>> {
  const [sleeping, printing] = HELD;
  await onEngine(["run", "-d", "--name", sleeping, IMAGE, ...SLEEP]);
  await onEngine(["run", "--name", printing, IMAGE, ...PRINT_COMMAND]);
  return {
    "run -d": (docker) => ({
      prepare: async () => `bench-${randomBytes(6).toString("hex")}`,
      work: (name) => docker(["run", "-d", "--name", name, ...runOptions, IMAGE, ...SLEEP]),
      cleanUp: async (name) => void (await onEngine(["rm", "--force", name])),
    }),
    "exec true": (docker) => ({ work: () => docker(["exec", sleeping, "true"]) }),
    "logs, 10,000 lines": (docker) => ({ work: async () => expectLines(await docker(["logs", printing])) }),
  };
}

/** A copy of a file to a container that has only that. */
function copyTask(file: string, onEngine: Docker): Command {
  return (docker) => ({
    prepare: () => onEngine(["create", IMAGE]),
    work: (id) => docker(["cp", file, `${id.trim()}:/tmp/copied`]),
    cleanUp: async (id) => void (await onEngine(["rm", id.trim()])),
  });
}

async function benchListener(bed: Bed): Promise<Pair[]> {
  const at = (host: string): Docker => {
    return (args) => bed.cli(["-H", host, ...args]);
  };
  const sides = { baseline: at(bed.engine.dockerHost), measured: at(bed.dockerListener) };
  const places = "engine, listener";
  const pairs: Pair[] = [];
  for (const [command, task] of Object.entries(await commandsOf(sides.baseline, [])))
    pairs.push(await comparePlaces(command, places, task, { sides, atMost: { ratio: 1.1 } }));
  const file = path.join(bed.engine.folder, "copied");
  writeFileSync(file, randomBytes(COPY_BYTES));
  const options = { sides, atMost: { ratio: 1.15 }, rounds: COPY_ROUNDS };
  pairs.push(await comparePlaces("cp of 200 MB", places, copyTask(file, sides.baseline), options));
  rmSync(file);
  await sides.baseline(["rm", "--force", ...HELD]);
  return pairs;
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
  try {
    const commands = {
      ...(await commandsOf(onEngine, ["-e", `constraint:node==${holder.name}`])),
      "cp of a small file": copyTask(path.join(config, "config.json"), onEngine),
    };
    const pairs: Pair[] = [];
    for (const [command, task] of Object.entries(commands))
      pairs.push(await comparePlaces(command, "its node, another node", task, { sides, atMost: { more: MAX_HOP_MS } }));
    return pairs;
  } finally {
    rmSync(config, { recursive: true });
  }
}
