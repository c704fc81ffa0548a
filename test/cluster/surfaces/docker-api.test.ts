import { randomUUID } from "node:crypto";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { until } from "../../../scripts/process";
import { startCluster, type TestCluster, type TestNode } from "../../support/cluster";
import { configWithHeaders, dockerAt } from "../../support/docker-commands";
import { engineKind } from "../../support/engine";
import { pushImage, type Registry, startRegistry } from "../../support/registry";
import { TOKEN } from "../../support/server";

let cluster: TestCluster;
let config: string;
let registry: Registry;
const tag = randomUUID().slice(0, 6);

beforeAll(async () => {
  [cluster, registry] = await Promise.all([startCluster({ size: 3 }), startRegistry()]);
  config = configWithHeaders({ "X-Access-Token": TOKEN });
});

afterAll(async () => {
  await cluster?.stop();
  await registry?.stop();
  rmSync(config, { recursive: true, force: true });
});

/** Runs a command of the docker CLI through one node. */
async function through(index: number, args: string, input?: string) {
  const host = cluster.nodes[index]?.server.url.replace("http", "tcp") ?? "";
  return dockerAt(host, { args, ...(input === undefined ? {} : { input }) }, tag, { config });
}

/** Its output, if it succeeds. */
async function output(index: number, args: string, input?: string): Promise<string> {
  const { code, stdout, stderr } = await through(index, args, input);
  if (code !== 0) throw new Error(`docker ${args}: ${stderr}`);
  return stdout.trim();
}

const ownersOf = async (name: string) =>
  (
    await Promise.all(
      cluster.nodes.map(async ({ engine, name: node }) => ((await engine.docker(["inspect", name])).code === 0 ? [node] : [])),
    )
  ).flat();

test("a prune of volumes as of API 1.42 removes none with a name, also not on an older engine, unless it asks for all", async () => {
  const create = ({ engine }: TestNode) => engine.docker(["volume", "create", `named-${tag}`]);
  const left = async () =>
    Promise.all(cluster.nodes.map(async ({ engine }) => (await engine.docker(["volume", "ls", "-qf", `name=named-${tag}`])).stdout.trim()));
  await Promise.all(cluster.nodes.map(create));
  const [n1] = cluster.nodes as [TestNode];
  const older = cluster.nodes[[0, 1, 2].findIndex((index) => engineKind(index) === "20.10")] as TestNode;
  const prune = (filters: object) => n1.request("POST", `/v1.44/volumes/prune?filters=${encodeURIComponent(JSON.stringify(filters))}`);
  const refused = await prune({});
  expect([refused.status, refused.json.message]).toEqual([
    400,
    expect.stringContaining(`node ${older.name}: this node's engine would remove`),
  ]);
  expect(await left()).toEqual(Array(3).fill(`named-${tag}`));
  expect((await prune({ all: ["true"] })).status).toBe(200);
  expect(await left()).toEqual(["", "", ""]);
});

test("containers are on one node each and used through every node", async () => {
  for (const index of [0, 1, 2]) {
    await output(index, `run -d --name NAME-${index} --label of=NAME busybox sh -c 'echo started; sleep 1000'`);
    expect(await ownersOf(`${tag}-${index}`)).toHaveLength(1);
  }
  for (const index of [0, 1, 2]) {
    const other = (index + 1) % 3;
    expect((await output(index, "ps --filter label=of=NAME --format '{{.Names}}'")).split("\n").sort()).toEqual(
      [0, 1, 2].map((each) => `${tag}-${each}`),
    );
    expect(await output(index, `logs NAME-${other}`)).toBe("started");
    expect(await output(index, `exec -i NAME-${other} sh -c 'cat; echo end'`, "sent to exec\n")).toBe("sent to exec\nend");
    expect(await output(index, `exec NAME-${other} hostname`)).toMatch(/^[0-9a-f]{12}$/);
    expect(await output(index, `stats --no-stream --format '{{.Name}}' NAME-${other}`)).toBe(`${tag}-${other}`);
    expect(await output(index, `cp ${__filename} NAME-${other}:/tmp/copied`)).toBe("");
    expect(Number((await output(other, `exec NAME-${other} wc -c /tmp/copied`)).split(" ")[0])).toBeGreaterThan(1000);
  }
});

test("an id's first digits find the container anywhere, and an absent one is a 404 in the engine's words", async () => {
  const id = await output(0, "inspect --format '{{.Id}}' NAME-0");
  for (const index of [0, 1, 2]) {
    expect(await output(index, `inspect --format '{{.Name}}' ${id.slice(0, 8)}`)).toBe(`/${tag}-0`);
    // With an API below 1.44 the CLI says it in fewer words.
    const { stderr } = await through(index, "logs NAME-absent");
    expect(stderr.replace(" response from daemon", "")).toBe(`Error: No such container: ${tag}-absent\n`);
  }
});

test("a name is taken in the whole pool", async () => {
  for (const index of [0, 1, 2]) {
    const { code, stderr } = await through(index, "run -d --name NAME-1 busybox true");
    expect(code).toBe(125);
    expect(stderr).toMatch(/Conflict\. The container name "\/.+-1" is already in use by container "[0-9a-f]{64}"/);
    expect((await through(index, "rename NAME-0 NAME-1")).stderr).toMatch(/already in use/);
  }
  const raced = await Promise.all([0, 1, 2].map((index) => through(index, "create --name NAME-raced busybox true")));
  expect(raced.filter(({ code }) => code === 0)).toHaveLength(1);
  expect(await ownersOf(`${tag}-raced`)).toHaveLength(1);
});

test("a create for a node that doesn't exist is refused, and no pull follows", async () => {
  const { code, stderr } = await through(0, "run -e constraint:node==n9 busybox true");
  expect([code, stderr]).toEqual([125, expect.stringMatching(/No such node: n9 \(there are: n\d, n\d, n\d\)/)]);
  expect(stderr).not.toContain("Unable to find image");
});

test("a removed container's exit code and a piped standard input come through another node", async () => {
  const results = await Promise.all(
    [0, 1, 2].map((index) => through(index, "run --rm -i busybox sh -c 'wc -c; exit 4'", "x".repeat(100_000))),
  );
  expect(results.map(({ code, stdout }) => [code, stdout.trim()])).toEqual(Array(3).fill([4, "100000"]));
});

test("networks and volumes keep their containers on their node", async () => {
  await output(0, "network create NAME-net");
  await output(1, "volume create NAME-vol");
  expect((await through(2, "network create NAME-net")).stderr).toContain(`network with name ${tag}-net already exists`);
  expect(await output(2, "volume create NAME-vol")).toBe(`${tag}-vol`);
  for (const index of [0, 1, 2]) {
    expect(await output(index, "run --rm --network NAME-net busybox echo in")).toBe("in");
    await output(index, `run --rm -v NAME-vol:/data busybox sh -c 'echo ${index} >> /data/f'`);
  }
  expect(await output(0, "run --rm -v NAME-vol:/data busybox cat /data/f")).toBe("0\n1\n2");
  expect(await output(1, "network ls --filter name=NAME-net -q")).toHaveLength(12);
  expect((await output(1, "network ls --format '{{.Name}}'")).split("\n").filter((name) => name === "bridge")).toHaveLength(1);
  await output(2, "network rm NAME-net");
  await output(2, "volume rm NAME-vol");
});

test("networks and volumes are made on the node that a label names, for a container that uses both", async () => {
  await output(0, "network create --label constraint:node==n1 NAME-on-net");
  await output(2, "volume create --label constraint:node==n3 NAME-on-vol");
  expect((await through(1, "run --rm --network NAME-on-net -v NAME-on-vol:/data busybox true")).stderr).toMatch(
    /volume \S+-on-vol is on n3; network \S+-on-net is on n1.*constraint:node==NAME/,
  );
  await output(1, "volume rm NAME-on-vol");
  await output(2, "volume create --label constraint:node==n1 NAME-on-vol");
  expect(await output(1, "run --rm --network NAME-on-net -v NAME-on-vol:/data busybox echo both")).toBe("both");
  expect((await through(1, "volume create --label constraint:node==n9 NAME-nowhere")).stderr).toContain("n9");
  await output(0, "network rm NAME-on-net");
  await output(0, "volume rm NAME-on-vol");
});

/** @param image of the web server @param version in its environment */
const projectOf = (image: string, version: number) => `
services:
  db:
    image: busybox
    command: sh -c "echo stored > /data/value; exec sleep 1000"
    volumes: ["data:/data"]
    healthcheck: { test: [CMD, test, -f, /data/value], interval: 1s, retries: 30 }
    stop_grace_period: 0s
  web:
    image: ${image}
    command: sh -c "echo serving; exec httpd -f -h /data"
    volumes: ["data:/data:ro"]
    environment: { VERSION: "${version}" }
    ports: ["8077:80"]
    mem_limit: 64m
    depends_on: { db: { condition: service_healthy } }
    stop_grace_period: 0s
volumes: { data: {} }
`;

test("a Compose project is made whole on one node, which pulls an image that another one has, and every command works through the others", async () => {
  const file = path.join(config, "compose.yaml");
  const image = await pushImage((cluster.nodes[0] as TestNode).engine, registry, "busybox");
  const project = projectOf(image, 1);
  writeFileSync(file, project);
  const compose = (index: number, args: string) => output(index, `compose -p p-NAME -f ${file} ${args}`);
  await compose(1, "pull web");
  const pulled = await Promise.all(cluster.nodes.map(({ engine }) => engine.docker(["image", "inspect", image])));
  expect(pulled.filter(({ code }) => code === 0)).toHaveLength(1);
  // The project's volume binds it to a node without the image.
  const owner = pulled.findIndex(({ code }) => code !== 0);
  const labels = [`project=p-${tag}`, "volume=data"].flatMap((label) => ["--label", `com.docker.compose.${label}`]);
  await (cluster.nodes[owner] as TestNode).engine.docker(["volume", "create", ...labels, `p-${tag}_data`]);
  await compose(0, "up -d");
  const owners = await ownersOf(`p-${tag}-db-1`);
  expect([owners.length, await ownersOf(`p-${tag}-web-1`)]).toEqual([1, owners]);
  expect(owners).toEqual([cluster.nodes[owner]?.name]);
  const others = [0, 1, 2].filter((index) => index !== owner) as [number, number];
  for (const index of others)
    expect((await compose(index, "ps --format '{{.Service}} {{.State}} {{.Health}}'")).split("\n").map((line) => line.trim())).toEqual([
      "db running healthy",
      "web running",
    ]);
  expect(await compose(others[0], "logs --no-log-prefix web")).toMatch(/serving$/);
  expect(await compose(others[1], "exec -T db wget -qO- http://web/value")).toBe("stored");
  expect(await compose(others[0], "run --rm -T web wget -qO- http://web/value")).toBe("stored");
  await compose(others[1], `cp ${file} web:/tmp/copied`);
  expect(await compose(others[0], "exec -T web cat /tmp/copied")).toBe(project.trim());
  // The new container is created while the old one still has the port.
  writeFileSync(file, projectOf(image, 2));
  await compose(others[1], "up -d");
  expect(await compose(others[0], "exec -T web sh -c 'echo $VERSION; wget -qO- http://localhost/value'")).toBe("2\nstored");
  await compose(others[1], "down -v");
  for (const list of ["ps -aq", "network ls -q", "volume ls -q"])
    expect([list, await output(owner, `${list} --filter label=com.docker.compose.project=p-NAME`)]).toEqual([list, ""]);
});

test("a Compose project is made where its images are built, through any node", async () => {
  const folder = path.join(config, "built");
  mkdirSync(folder);
  writeFileSync(path.join(folder, "Dockerfile"), "FROM busybox\nCMD sleep 1000\n");
  const service = "build: .\n    volumes: [data:/data]";
  const file = path.join(folder, "compose.yaml");
  writeFileSync(file, `services:\n  one:\n    ${service}\n  two:\n    ${service}\nvolumes:\n  data:\n`);
  const compose = (index: number, args: string) => output(index, `compose -p b-NAME -f ${file} ${args}`);
  await compose(0, "build");
  const images = await Promise.all(cluster.nodes.map(({ engine }) => engine.docker(["images", "-q", "--filter", `reference=b-${tag}-*`])));
  const holders = images.flatMap(({ stdout }, index) => (stdout === "" ? [] : [cluster.nodes[index]?.name]));
  expect(holders).toHaveLength(1);
  for (const index of [1, 2, 0, 1]) {
    await compose(index, "up -d");
    expect([await ownersOf(`b-${tag}-one-1`), await ownersOf(`b-${tag}-two-1`)]).toEqual([holders, holders]);
    await compose(2, "down -v -t 0");
  }
  await compose(0, "down --rmi local");
});

test("what is built again under one name is built where it was, so that no node keeps the old one", async () => {
  for (const [index, version] of [0, 1, 2, 1].entries()) {
    await output(index % 3, "build -q -t again-NAME -", `FROM busybox\nCMD echo ${version}\n`);
    for (const each of [0, 1, 2]) expect(await output(each, "run --rm again-NAME")).toBe(`${version}`);
  }
  await output(1, "rmi again-NAME");
});

test("the classic builder makes an image, from which every node starts containers", async () => {
  await output(0, "build -q -t img-NAME -", "FROM busybox\nCMD echo built\n");
  for (const index of [1, 2]) expect(await output(index, "run --rm img-NAME")).toBe("built");
  await output(1, "rmi img-NAME");
});

test("events of all nodes come in the order of their time, with their node", async () => {
  const lines = (
    await output(2, "events --since 5m --until=-1s --filter event=create --filter type=container --format '{{json .}}'")
  ).split("\n");
  const events = lines.map((line) => JSON.parse(line) as { timeNano: number; Actor: { Attributes: { name: string; node: string } } });
  const times = events.map(({ timeNano }) => timeNano);
  expect(times).toEqual([...times].sort((a, b) => a - b));
  const own = events.find(({ Actor }) => Actor.Attributes.name === `${tag}-0`);
  expect(await ownersOf(`${tag}-0`)).toEqual([own?.Actor.Attributes.node]);
});

test("info counts the containers and cores of all nodes, under one identity", async () => {
  const infos = await Promise.all([0, 1, 2].map((index) => output(index, "info --format '{{.ID}} {{.Containers}} {{.NCPU}}'")));
  expect(new Set(infos).size).toBe(1);
});

test("the containers of a node that doesn't answer are listed as unknown, and a list by label is refused if it can't be known", async () => {
  const victim = cluster.nodes[1] as TestNode;
  await output(0, `run -d --name NAME-lost -e constraint:node==${victim.name} busybox sleep 1000`);
  await output(0, "ps");
  expect(await output(2, `ps --filter node=${victim.name} --format '{{.Names}}'`)).toContain(`${tag}-lost`);
  expect(await output(2, "ps --filter node=n1 --format '{{.Names}}'")).not.toContain(`${tag}-lost`);
  expect((await through(2, "ps --filter node=n9")).stderr).toMatch(/the nodes are n3, (?:n1, n2|n2, n1)/);
  await victim.server.stop("SIGKILL");
  try {
    const unknown = `Unknown (node ${victim.name} unreachable)`;
    const listed = async () => output(0, "ps --filter name=NAME-lost --format '{{.Status}}'");
    expect(await until(async () => (await listed()) === unknown, 20_000)).toBe(true);
    expect(await output(0, "ps -a --format '{{.Names}} {{.Status}}'")).toContain(`${tag}-lost ${unknown}`);
    // This node has not been asked for all of the other's containers before.
    for (const filter of ["status=exited", "name=NAME-lost"])
      expect((await through(0, `ps -a --filter ${filter}`)).stderr).toContain(`node ${victim.name} is unreachable`);
  } finally {
    await cluster.restart(victim);
  }
});
