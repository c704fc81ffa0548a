import assert from "node:assert/strict";
import os from "node:os";
import { setTimeout } from "node:timers/promises";
import type { CurlAnswer } from "./demo-curl";
import { showDockerCli } from "./demo-docker-cli";
import { importImage } from "./demo-hosts";
import { type DemoNode, startNodes } from "./demo-nodes";
import type { Stage } from "./demo-stage";
import { formatJson, heading, note, printCommand } from "./demo-terminal";

const IMAGE = "busybox";
const HELLO = "hello from the pool";

/** Three machines, one pool: any node takes any request. */
export async function showThreeNodes(stage: Stage): Promise<void> {
  heading("Three machines", "One API for all of them: any node takes any request. There is no leader.");
  const hosts = await stage.hosts;
  if (typeof hosts === "string") return note(`This part is left out, for three hosts cannot be simulated here: ${hosts}`);
  await Promise.all(hosts.engines.map((engine) => importImage(engine, stage.layerFile, IMAGE)));
  note("Three hosts are simulated on this machine, each with a network and a Docker engine of its own.");
  note("The same command starts a server on each, with the same TOKEN and one folder that all of them reach:");
  const nodes = await startNodes(stage.resources, hosts);
  await listNodes(nodes);
  const runs = await runThree(nodes);
  await listAll(nodes, runs.length);
  await execute(nodes, runs[0] as Run);
  await remove(nodes, runs[1] as Run);
  await showDockerCli(nodes, IMAGE);
  await killOne(nodes, runs[2] as Run);
  if (stage.stays) await stay(nodes);
}

async function listNodes(nodes: DemoNode[]): Promise<void> {
  const [{ curl, variable }] = nodes as [DemoNode];
  heading("7. GET /nodes", "The nodes and their state. (Here and below numbers are rounded and some fields left out.)");
  const { status, json } = await curl.ask([`${variable}/nodes`], ({ json }) =>
    formatJson({ ...json, nodes: json.nodes.map(only(["name", "url", "load", "reachable"])) }),
  );
  assert.equal(status, 200);
  assert.deepEqual([json.nodes.length, json.complete], [nodes.length, true]);
}

interface Run {
  name: string;
  /** The node that holds it. */
  host: string;
}

async function runThree(nodes: DemoNode[]): Promise<Run[]> {
  heading(
    "8. PUT runs where it fits best",
    "Each of these wants half of a host's CPU. All nodes are asked for a bid, and the best one gets it.",
  );
  const runs = [await run(nodes, "first"), await run(nodes, "second")];
  heading("   … and explains", "With `explain` the answer tells who bid what.");
  return [...runs, await explain(nodes, "third")];
}

async function run(nodes: DemoNode[], name: string): Promise<Run> {
  const [{ curl, variable }] = nodes as [DemoNode];
  const { status, json } = await curl.ask(put(`${variable}/`, name));
  assert.deepEqual([status, json.status], [200, "running"]);
  return json;
}

async function explain(nodes: DemoNode[], name: string): Promise<Run> {
  const [{ curl, variable }] = nodes as [DemoNode];
  const { status, json } = await curl.ask(put(`${variable}/?explain=true`, name), ({ json }) => {
    const { chosen, why, bids } = json.placement;
    const shown = bids.map(only(["node", "cpu", "reservedCpu", "memory", "recent"]));
    return formatJson({ ...json, placement: { chosen, why, bids: shown } });
  });
  assert.equal(status, 200);
  assert.equal(json.placement.chosen, json.host);
  assert.equal(json.placement.bids.length, nodes.length);
  return json;
}

async function listAll(nodes: DemoNode[], count: number): Promise<void> {
  const [, { curl, variable }] = nodes as [DemoNode, DemoNode];
  heading("9. GET / lists all", "From any node. The headers say who has answered.");
  const answer = await curl.ask(["-i", `${variable}/`], clusterList);
  assert.equal(answer.status, 200);
  assert.equal(listOf(answer).length, count);
}

async function execute(nodes: DemoNode[], { name, host }: Run): Promise<void> {
  const other = nodes.find((node) => node.name !== host) as DemoNode;
  heading("10. POST and GET find the container", `${other.name} is asked about one that ${host} holds. The answer has one item a node.`);
  const { status, json } = await other.curl.ask([`${other.variable}/${name}`, "-d", "data=uptime"]);
  assert.deepEqual([status, json[0].host, json[0].exit_code], [200, host, 0]);
  const logs = await other.curl.ask([`${other.variable}/${name}`]);
  assert.deepEqual([logs.status, logs.json[0].stdout], [200, `${HELLO}\n`]);
}

async function remove(nodes: DemoNode[], { name, host }: Run): Promise<void> {
  const other = nodes.findLast((node) => node.name !== host) as DemoNode;
  heading("11. DELETE too", `${other.name} has it removed by ${host}.`);
  const { status, json } = await other.curl.ask(["-X", "DELETE", `${other.variable}/${name}`]);
  assert.deepEqual([status, json[0].removed], [200, true]);
}

async function killOne(nodes: DemoNode[], { name, host }: Run): Promise<void> {
  const dead = nodes.find((node) => node.name === host) as DemoNode;
  const { curl, variable } = nodes.find((node) => node !== dead) as DemoNode;
  heading("13. A node dies", `The server of ${dead.name}, which holds ${name}, is killed. The others answer, and say who is missing.`);
  printCommand(`kill -9 ${dead.pid}`);
  await dead.kill();
  const answer = await curl.ask(["-i", `${variable}/`], clusterList);
  assert.equal(answer.status, 200);
  assert.match(answer.text, new RegExp(`^x-cluster-missing: ${dead.name}$`, "im"));
  heading("   … what it held is not lost", "It can't be asked for now, which is another answer than that there is none.");
  const absent = await curl.ask([`${variable}/${name}`]);
  assert.equal(absent.status, 503);
  heading("   … and the pool goes on", "A new run goes to one of those who are there.");
  const { status, json } = await curl.ask(put(`${variable}/`, "fourth"));
  assert.equal(status, 200);
  assert.notEqual(json.host, dead.name);
  heading("   … until it is back", `Started again, ${dead.name} needs to remember nothing: its container ran on all the time.`);
  await dead.restart();
  const found = await curl.ask([`${variable}/${name}`]);
  assert.deepEqual([found.status, found.json[0].host], [200, host]);
}

/** Leaves the nodes running until a signal ends the demo. */
async function stay(nodes: DemoNode[]): Promise<void> {
  heading(
    "The nodes stay until Ctrl+C",
    "Open one of these in a browser on this machine and sign in with the token: each shows all three.",
  );
  for (const { name, server } of nodes) note(`${name}: ${server.url}/console`);
  note(`token: ${nodes[0]?.server.token}`);
  for (;;) await setTimeout(60_000);
}

/** The X-Cluster-* headers, and name, state and host of each container. */
function clusterList(answer: CurlAnswer): string {
  const headers = answer.text.match(/^x-cluster-.*$/gim) ?? [];
  return [...headers, formatJson(listOf(answer).map(only(["name", "state", "host"])))].join("\n");
}

const listOf = ({ text }: CurlAnswer): object[] => JSON.parse(text.slice(text.indexOf("\n\n")));

/** Picks some fields of an object, in this order, and rounds numbers to two decimals. */
const only = (fields: string[]) => (all: object) => {
  const values = new Map<string, unknown>(Object.entries(all));
  return Object.fromEntries(fields.map((field) => [field, rounded(values.get(field))]));
};

const rounded = (value: unknown) => (typeof value === "number" ? Number(value.toFixed(2)) : value);

function put(address: string, name: string): string[] {
  const fields = { image: IMAGE, name, detach: true, cpus: os.availableParallelism() / 2, data: ["sh", "-c", `echo ${HELLO}; sleep 1000`] };
  return ["-X", "PUT", address, "-H", "Content-Type: application/json", "-d", JSON.stringify(fields)];
}
