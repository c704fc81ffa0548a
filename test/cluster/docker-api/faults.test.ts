import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { until } from "../../../scripts/process";
import { startCluster, type TestCluster, type TestNode } from "../../support/cluster";
import { becomesComplete, locate, uniqueName } from "../../support/cluster-containers";
import { configWithHeaders, dockerAt } from "../../support/docker-commands";
import { type DockerStream, startDocker, startSlowUpload } from "../../support/docker-streams";
import { startTcpHaproxy } from "../../support/haproxy";
import { followLogs, openEngineConnectionsOf } from "../../support/log-stream";
import { TOKEN } from "../../support/server";
import { dockerOf } from "../../support/single-node";

const DEADLINE = 20_000;
/** More than all connections between a client and a container hold: a download that isn't read stays under way. */
const DOWNLOAD_MEGABYTES = 64;
/** At most so many connections to an engine are kept for further requests. */
const KEPT_CONNECTIONS = 20;
/** Ends at SIGTERM, so that an engine that starts again doesn't wait for it. */
const STAY = `dd if=/dev/zero of=/big bs=1M count=${DOWNLOAD_MEGABYTES} 2> /dev/null; trap exit TERM; echo ready; sleep 100000 & wait`;
/** Sends what it reads to its client and to the container's log. */
const REPEAT = 'while read -r line; do echo "$line"; echo "$line" > /proc/1/fd/1; done';

let cluster: TestCluster;
let config: string;
/** Clients use n1; their containers are on n2. n3 is neither the entry node nor the owner. */
let [n1, n2, n3] = [] as unknown as [TestNode, TestNode, TestNode];
/** On n2 and n3. */
const held = { n2: uniqueName("held"), n3: uniqueName("held") };
/** Never started: files are copied into its volume. */
const target = uniqueName("target");
let uploaded: string;
const streams: DockerStream[] = [];

beforeAll(async () => {
  cluster = await startCluster({ size: 3, ownEngines: true, args: ["--peer_timeout=1500"] });
  [n1, n2, n3] = cluster.nodes as [TestNode, TestNode, TestNode];
  config = configWithHeaders({ "X-Access-Token": TOKEN });
  for (const node of [n2, n3]) {
    const name = held[node.name as "n2" | "n3"];
    await dockerOf(node.engine, ["run", "-d", "--name", name, "busybox", "sh", "-c", STAY]);
    expect(await until(async () => (await dockerOf(node.engine, ["logs", name])) === "ready", DEADLINE)).toBe(true);
  }
  await dockerOf(n2.engine, ["create", "--name", target, "-v", `${target}:/up`, "busybox"]);
  uploaded = path.join(await dockerOf(n2.engine, ["volume", "inspect", "-f", "{{.Mountpoint}}", target]), "slow");
});

afterAll(async () => {
  await cluster?.stop();
  rmSync(config, { recursive: true, force: true });
});

const hostOf = ({ server }: TestNode) => server.url.replace("http", "tcp");

function kept(stream: DockerStream): DockerStream {
  streams.push(stream);
  return stream;
}

const start = (node: TestNode, ...args: string[]) => kept(startDocker(hostOf(node), args, { config }));

/** A command and the container's log, through one node. */
interface Talk {
  exec: DockerStream;
  logs: DockerStream;
}

const talk = (entry: TestNode, container: string): Talk => ({
  exec: start(entry, "exec", "-i", container, "sh", "-c", REPEAT),
  logs: start(entry, "logs", "-f", container),
});

/** Whether a new line goes to the container and comes back by both streams. */
async function works({ exec, logs }: Talk): Promise<boolean> {
  const word = uniqueName("word");
  exec.send(`${word}\n`);
  return until(() => [exec, logs].every((each) => each.output().includes(`${word}\n`)), DEADLINE);
}

type Stream = "run" | "exec" | "logs" | "upload" | "download" | "events";

/** Starts one client of each kind through n1, for containers of n2. */
async function startAll(): Promise<{ all: Record<Stream, DockerStream>; name: string }> {
  const name = uniqueName("run");
  rmSync(uploaded, { force: true });
  const since = String(Math.floor(Date.now() / 1000));
  const talking = talk(n1, held.n2);
  expect(await works(talking)).toBe(true);
  const all = {
    ...talking,
    run: start(n1, "run", "--rm", "-i", "--name", name, "-e", "constraint:node==n2", "busybox", "sh", "-c", "echo started; cat"),
    upload: kept(startSlowUpload(hostOf(n1), `${target}:/up`, { config })),
    download: kept(startDocker(hostOf(n1), ["cp", `${held.n2}:/big`, "-"], { config, unread: true })),
    events: start(n1, "events", "--since", since, "--filter", `container=${name}`),
  };
  const arrived = () =>
    all.run.output() === "started\n" &&
    all.events.output().includes("container start") &&
    all.download.output() !== "" &&
    existsSync(uploaded);
  expect([await until(arrived, DEADLINE), statesOf(all)]).toEqual([true, eachIs("open")]);
  return { all, name };
}

const statesOf = (all: Record<Stream, DockerStream>) => Object.fromEntries(Object.entries(all).map(([kind, each]) => [kind, each.state()]));

const eachIs = (state: ReturnType<DockerStream["state"]>) =>
  Object.fromEntries(["run", "exec", "logs", "upload", "download", "events"].map((kind) => [kind, state]));

/**
 * Waits for the ends of all streams; they must be errors.
 * @param options.engineFails the owner may already have all of a download from its engine: that can end well
 */
async function expectErrors(all: Record<Stream, DockerStream>, { engineFails } = { engineFails: false }): Promise<void> {
  all.download.readOn();
  await until(() => Object.values(all).every((each) => each.state() !== "open"), DEADLINE);
  expect(statesOf(all)).toEqual({ ...eachIs("failed"), ...(engineFails && { download: expect.stringMatching(/failed|ended/) }) });
}

/** The nodes whose engines have started a container of this name, once for each start. */
async function startsOf(name: string): Promise<string[]> {
  const filter = ["--since", "1h", "--until=-1s", "--filter", `container=${name}`, "--filter", "event=start"];
  const found = await Promise.all(
    cluster.nodes.map(async ({ engine, name: node }) => {
      const text = await dockerOf(engine, ["events", ...filter]);
      return text === "" ? [] : text.split("\n").map(() => node);
    }),
  );
  return found.flat();
}

/** Whether n2 gives up what it did for clients: the run ends with its input, its commands too, and no copy locks a container. */
async function leavesNothing(name: string): Promise<boolean> {
  let isUnlocked = false;
  const setUnlocked = () => {
    isUnlocked = true;
  };
  void dockerOf(n2.engine, ["inspect", target]).then(setUnlocked, () => undefined);
  return until(
    async () =>
      isUnlocked && (await locate(cluster, name)).length === 0 && !(await dockerOf(n2.engine, ["top", held.n2])).includes("read -r line"),
    DEADLINE,
  );
}

afterEach(() => {
  for (const stream of streams.splice(0)) stream.kill();
});

test("clients that are gone leave no command, no container of a broken run, no lock and no stream behind", async () => {
  const before = openEngineConnectionsOf(n2);
  const { name } = await startAll();
  const query = "follow=1&stdout=1&stderr=1";
  const logs = await Promise.all(
    Array.from({ length: 2 * KEPT_CONNECTIONS }, () => followLogs(n1, `v1.41/containers/${held.n2}/logs`, { query })),
  );
  expect(openEngineConnectionsOf(n2)).toBeGreaterThan(before + 2 * KEPT_CONNECTIONS);
  for (const stream of streams) stream.kill();
  for (const log of logs) log.abort();
  expect(await leavesNothing(name)).toBe(true);
  expect(await until(() => openEngineConnectionsOf(n2) <= before + KEPT_CONNECTIONS, DEADLINE)).toBe(true);
  expect(await startsOf(name)).toEqual(["n2"]);
});

test("kill -9 of the entry node ends its clients' streams with an error, and those through other nodes go on", async () => {
  const survivor = talk(n3, held.n2);
  const { all, name } = await startAll();
  await n1.server.stop("SIGKILL");
  try {
    await expectErrors(all);
    expect(await works(survivor)).toBe(true);
    survivor.exec.kill();
    expect(await leavesNothing(name)).toBe(true);
    expect(await startsOf(name)).toEqual(["n2"]);
  } finally {
    await cluster.restart(n1);
  }
  expect(await becomesComplete(cluster)).toBe(true);
});

test("streams of an entry node that freezes go on when it is back, those through other nodes all the time, and its events end elsewhere", async () => {
  const survivor = talk(n3, held.n2);
  const watching = start(n3, "events");
  const { all, name } = await startAll();
  n1.server.process.signal("SIGSTOP");
  try {
    expect(await works(survivor)).toBe(true);
    // So long that n1 counts as missing.
    expect(await until(() => watching.state() !== "open", DEADLINE)).toBe(true);
    expect(watching.state()).toBe("failed");
    expect(await works(survivor)).toBe(true);
  } finally {
    n1.server.process.signal("SIGCONT");
  }
  expect(await becomesComplete(cluster)).toBe(true);
  expect([await works(all), statesOf(all)]).toEqual([true, eachIs("open")]);
  all.run.send("sent to run\n");
  expect(await until(() => all.run.output() === "started\nsent to run\n", DEADLINE)).toBe(true);
  expect(await startsOf(name)).toEqual(["n2"]);
});

const freezeEngine = () => n2.engine.freeze();

test.each<[string, () => void | Promise<void>, () => void | Promise<void>]>([
  ["kill -9 of the owner", () => n2.server.stop("SIGKILL"), () => cluster.restart(n2)],
  ["a freeze of the owner", () => n2.server.process.signal("SIGSTOP"), () => n2.server.process.signal("SIGCONT")],
  ["a link that goes down", () => n2.engine.linkDown(), () => n2.engine.linkUp()],
  ["a freeze of the owner's engine", freezeEngine, () => n2.engine.thaw()],
])("%s ends the streams of its containers with an error, and those of other nodes go on", async (_, fault, mend) => {
  const survivor = talk(n1, held.n3);
  const { all, name } = await startAll();
  await fault();
  try {
    await expectErrors(all, { engineFails: fault === freezeEngine });
    expect(await works(survivor)).toBe(true);
  } finally {
    await mend();
  }
  expect(await becomesComplete(cluster)).toBe(true);
  expect(await leavesNothing(name)).toBe(true);
  expect(await works(survivor)).toBe(true);
  expect(await startsOf(name)).toEqual(["n2"]);
});

test.each([
  ["entry node", 150],
  ["owner", 400],
])("kill -9 of the %s %i ms into a run leaves at most one container, which a repeated run finds", async (which, delayMs) => {
  const name = uniqueName("run");
  const command = ["run", "--rm", "--name", name, "-e", "constraint:node==n2", "busybox", "sleep", "1000"];
  const first = start(n1, ...command);
  await sleep(delayMs);
  const victim = which === "owner" ? n2 : n1;
  await victim.server.stop("SIGKILL");
  expect(await until(() => first.state() === "failed", DEADLINE)).toBe(true);
  await cluster.restart(victim);
  expect(await becomesComplete(cluster)).toBe(true);
  const left = await locate(cluster, name);
  expect(left.length).toBeLessThanOrEqual(1);
  const again = await dockerAt(hostOf(n3), { args: "run --rm --name NAME busybox echo again" }, name, { config });
  expect([again.code, again.stdout]).toEqual(left.length === 1 ? [125, ""] : [0, "again\n"]);
  expect(await locate(cluster, name)).toEqual(left);
  if (left.length === 1) await dockerOf(n2.engine, ["rm", "-f", name]);
});

/** Whether a stream's commands go on and a new container runs, through n1. */
async function allWorks(all: Record<Stream, DockerStream>): Promise<boolean> {
  const { code } = await dockerAt(hostOf(n1), { args: "run --rm busybox true" }, "", { config });
  return code === 0 && (await works(all)) && Object.values(statesOf(all)).every((state) => state === "open");
}

test("a store that is lost for some seconds harms no stream, and new containers run meanwhile", async () => {
  const { all, name } = await startAll();
  rmSync(cluster.folder, { recursive: true });
  // Nobody can make the folder anew.
  writeFileSync(cluster.folder, "");
  try {
    expect(await until(() => n1.server.output().includes("Store unavailable"), DEADLINE)).toBe(true);
    expect(await allWorks(all)).toBe(true);
  } finally {
    rmSync(cluster.folder);
    mkdirSync(cluster.folder);
  }
  expect(await becomesComplete(cluster)).toBe(true);
  expect(await allWorks(all)).toBe(true);
  expect(await startsOf(name)).toEqual(["n2"]);
});

test("a log disk that is full harms no stream and no new command", async () => {
  const folder = path.join(n1.engine.folder, "small-logs");
  mkdirSync(folder);
  expect(spawnSync("mount", ["-t", "tmpfs", "-o", "size=256k", "logs", folder]).status).toBe(0);
  try {
    for (const node of [n1, n2]) {
      await node.server.stop();
      await cluster.restart(node, [`--log_dir=${path.join(folder, node.name)}`]);
    }
    expect(await becomesComplete(cluster)).toBe(true);
    const { all, name } = await startAll();
    expect(() => writeFileSync(path.join(folder, "full"), Buffer.alloc(2 ** 20))).toThrow("ENOSPC");
    expect(await allWorks(all)).toBe(true);
    const areLost = async () => /log_lines_lost\{file="[^"]+"\} [1-9]/.test((await n1.request("GET", "/metrics")).text);
    expect(await until(areLost, DEADLINE)).toBe(true);
    expect(await allWorks(all)).toBe(true);
    expect(await startsOf(name)).toEqual(["n2"]);
  } finally {
    for (const node of [n1, n2]) {
      await node.server.stop("SIGKILL");
      await cluster.restart(node);
    }
    spawnSync("umount", ["--lazy", folder]);
  }
  expect(await becomesComplete(cluster)).toBe(true);
});

test("a load balancer that is reloaded cuts no stream, and new commands go through it", async () => {
  const balancer = await startTcpHaproxy(cluster.nodes.map(({ server }) => server));
  const through = (...args: string[]) => kept(startDocker(balancer.dockerHost, args, { config }));
  try {
    const under = { exec: through("exec", "-i", held.n2, "sh", "-c", REPEAT), logs: through("logs", "-f", held.n2) };
    expect(await works(under)).toBe(true);
    await balancer.reload();
    expect(await works(under)).toBe(true);
    for (let round = 0; round < cluster.nodes.length; round += 1)
      expect(await dockerAt(balancer.dockerHost, { args: "run --rm -i busybox cat", input: "in" }, "", { config })).toMatchObject({
        code: 0,
        stdout: "in",
      });
  } finally {
    await balancer.stop();
  }
});

test.each([
  ["entry node", () => n1],
  ["owner", () => n2],
])("a restart of the %s ends the streams through it with an error, and those of others go on", async (which, victim) => {
  const survivor = which === "owner" ? talk(n1, held.n3) : talk(n3, held.n2);
  const { all, name } = await startAll();
  const stopped = victim().server.stop("SIGTERM");
  const { upload, download, ...endless } = all;
  try {
    expect(await until(() => Object.values(endless).every((each) => each.state() === "failed"), DEADLINE)).toBe(true);
    expect(await works(survivor)).toBe(true);
    // Copies have an end of their own: the node waits for them.
    for (const each of [upload, download]) each.kill();
  } finally {
    await stopped;
    await cluster.restart(victim());
  }
  expect(await becomesComplete(cluster)).toBe(true);
  expect(await works(survivor)).toBe(true);
  survivor.exec.kill();
  expect(await leavesNothing(name)).toBe(true);
  expect(await startsOf(name)).toEqual(["n2"]);
});

// The containers that the others use don't run after it.
test("kill -9 of the owner's engine ends the streams of its containers with an error, and its next start leaves no container of a broken run", async () => {
  const survivor = talk(n1, held.n3);
  const { all, name } = await startAll();
  await n2.engine.kill();
  await expectErrors(all, { engineFails: true });
  expect(await works(survivor)).toBe(true);
  await n2.engine.restart();
  expect(await until(async () => (await locate(cluster, name)).length === 0, DEADLINE)).toBe(true);
  expect(await startsOf(name)).toEqual([]);
});
