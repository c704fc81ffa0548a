import { until } from "../../../scripts/process";
import { startCluster, type TestCluster, type TestNode } from "../../support/cluster";
import { becomesComplete, startContainer, uniqueName } from "../../support/cluster-containers";
import { startHaproxy } from "../../support/haproxy";
import { auditEntries, dockerOf, residentMemory } from "../../support/single-node";
import { type OpenOptions, openTerminal, type TestTerminal } from "../../support/terminal";

const DEADLINE_MS = 30_000;
const ALLOWED = "https://pages.example";

let cluster: TestCluster;
let [n1, n2, n3] = [] as unknown as [TestNode, TestNode, TestNode];
/** A container of the second node. */
let box: string;
const terminals: TestTerminal[] = [];
beforeAll(async () => {
  cluster = await startCluster({ size: 3, ownEngines: true, args: ["--peer_timeout=1500", "--cors_origin", ALLOWED] });
  [n1, n2, n3] = cluster.nodes as [TestNode, TestNode, TestNode];
  box = (await startContainer(n1, { name: uniqueName("box") }, "n2")).name;
});
afterEach(async () => {
  for (const { socket } of terminals.splice(0)) socket.terminate();
  for (const { server } of cluster.nodes) expect(server.output()).not.toMatch(/FATAL|Unhandled promise rejection|Warning/);
  expect(await until(async () => (await processes()).join() === "sleep 100000", DEADLINE_MS)).toBe(true);
});
afterAll(() => cluster?.stop());

async function open(url: string, pathname: string, options?: OpenOptions): Promise<TestTerminal> {
  const terminal = await openTerminal(url, pathname, options);
  terminals.push(terminal);
  return terminal;
}

/** The commands that run in the box. */
async function processes(): Promise<string[]> {
  const lines = (await dockerOf(n2.engine, ["top", box, "-eo", "pid,args"])).split("\n").slice(1);
  return lines.map((line) => line.trim().replace(/^\d+ +/, ""));
}
const runs = (command: string) => until(async () => (await processes()).includes(command), DEADLINE_MS);

test("a terminal works through every node and through a load balancer", async () => {
  const haproxy = await startHaproxy(cluster.nodes.map(({ server }) => server));
  try {
    for (const url of [n1.server.url, n2.server.url, n3.server.url, haproxy.url, haproxy.url, haproxy.url]) {
      const terminal = await open(url, `/ws/${box}?cols=111&rows=44`);
      await terminal.shows(/# /);
      terminal.type("hostname; stty size\n");
      await terminal.shows(/44 111\r\n/);
      terminal.send({ type: "resize", cols: 66, rows: 22 });
      terminal.type("sleep 1; stty size\n");
      await terminal.shows(/22 66\r\n/);
      terminal.type("sleep 2000\n");
      expect(await runs("sleep 2000")).toBe(true);
      terminal.send({ type: "signal", name: "INT" });
      terminal.type("exit 5\n");
      expect(await terminal.gets("exit")).toEqual({ type: "exit", code: 5 });
      expect(await terminal.closed()).toBe(1000);
    }
  } finally {
    await haproxy.stop();
  }
});

test("megabytes pass unchanged in both directions through another node", async () => {
  const terminal = await open(n1.server.url, `/ws/${box}?tty=false`);
  const text = `${"0123456789 漢字\n".repeat(40_000)}`;
  terminal.type("cat\n");
  expect(await runs("cat")).toBe(true);
  for (let turn = 0; turn < 5; turn += 1) terminal.type(text);
  expect(await until(() => terminal.stdout().length >= 5 * text.length, DEADLINE_MS)).toBe(true);
  expect(terminal.stdout() === text.repeat(5)).toBe(true);
});

test("output that a client doesn't read stays in the container and out of both nodes' memory", async () => {
  const memory = () => [n1, n2].map(({ server }) => residentMemory(server.process.pid));
  const before = memory();
  const terminal = await open(n1.server.url, `/ws/${box}?tty=false`);
  terminal.socket.pause();
  terminal.type("yes 0123456789012345678901234567890123456789\n");
  for (let turn = 0; turn < 30; turn += 1) {
    await new Promise((resolve) => setTimeout(resolve, 100));
    memory().forEach((now, index) => {
      expect(now - (before[index] ?? 0)).toBeLessThan(80);
    });
  }
  terminal.socket.resume();
  const received = terminal.messages.length;
  expect(await until(() => terminal.messages.length > received + 100, DEADLINE_MS)).toBe(true);
});

test.each<[string, (terminal: TestTerminal) => void]>([
  ["closes", ({ socket }) => socket.close()],
  ["breaks off", ({ socket }) => socket.terminate()],
])("a client of another node that %s leaves no process running", async (_how, disconnect) => {
  const terminal = await open(n1.server.url, `/ws/${box}?cols=80&rows=24`);
  terminal.type("sleep 2000 & sleep 2001\n");
  expect(await runs("sleep 2001")).toBe(true);
  disconnect(terminal);
  expect(await until(async () => (await processes()).join() === "sleep 100000", DEADLINE_MS)).toBe(true);
});

test.each<[string, Record<string, string>]>([
  ["from the client", { "X-Request-Id": "through-n1" }],
  ["of the entry node", {}],
])("the response and the audit logs of both nodes have one request id %s and the same user", async (_source, headers) => {
  const terminal = await open(n1.server.url, `/ws/${box}?cols=80&rows=24`, { headers });
  terminal.socket.close();
  const id = terminal.headers["x-request-id"];
  expect(id).toEqual(headers["X-Request-Id"] ?? expect.stringMatching(/^[\da-f-]{36}$/));
  const entry = ({ server }: TestNode) => auditEntries(server).find(({ request_id }) => request_id === id);
  expect(await until(() => [n1, n2].every((node) => entry(node) !== undefined), DEADLINE_MS)).toBe(true);
  expect(entry(n1)).toMatchObject({ status: 101, path: `/ws/${box}`, user: entry(n2).user });
  expect(entry(n3)).toBeUndefined();
});

test("every node refuses the same requests with the same errors", async () => {
  const stopped = (await startContainer(n1, { name: uniqueName("stopped"), data: ["true"] }, "n2")).name;
  const state = () => dockerOf(n2.engine, ["inspect", "-f", "{{.State.Running}}", stopped]);
  expect(await until(async () => (await state()) === "false", DEADLINE_MS)).toBe(true);
  for (const { server } of cluster.nodes) {
    const refused = (pathname: string, options: OpenOptions = {}) => expect(open(server.url, pathname, options)).rejects;
    await refused(`/ws/${stopped}`).toThrow(/^409 .*NOT_RUNNING/);
    await refused("/ws/no-such-container").toThrow(/^404 .*CONTAINER_NOT_FOUND/);
    await refused(`/ws/${box}`, { anonymous: true }).toThrow(/^401 .*MISSING_CREDENTIALS/);
    await refused(`/ws/${box}?cols=none`).toThrow(/^400 .*cols/);
    await refused(`/ws/${box}?node=n9`).toThrow(/^404 .*NODE_NOT_FOUND/);
    await refused(`/ws/${box}`, { origin: "http://evil.example" }).toThrow(/^403 .*CROSS_SITE/);
    await open(server.url, `/ws/${box}`, { origin: server.url });
    await open(server.url, `/ws/${box}`, { origin: ALLOWED });
  }
  await open(n1.server.url, `/ws/${box}?node=n2`);
  await expect(open(n2.server.url, `/ws/${box}?node=n3`)).rejects.toThrow(/^404 .*CONTAINER_NOT_FOUND/);
});

test("a ticket of any node opens a terminal through any other node, only once in the whole pool", async () => {
  for (const [issuer, opener, third] of [
    [n1, n3, n2],
    [n2, n1, n3],
    [n3, n2, n1],
  ] as const) {
    const { status, json } = await issuer.request("POST", `/ws/${box}/ticket`);
    expect(status).toBe(200);
    const terminal = await open(opener.server.url, `/ws/${box}?tty=false&ticket=${json.ticket}`, { anonymous: true });
    terminal.type("exit 8\n");
    expect((await terminal.gets("exit")).code).toBe(8);
    await expect(open(third.server.url, `/ws/${box}?ticket=${json.ticket}`, { anonymous: true })).rejects.toThrow(/^401 .*WRONG_TICKET/);
  }
});

test.each<[string, () => void, () => void]>([
  ["freezes", () => n2.server.process.signal("SIGSTOP"), () => n2.server.process.signal("SIGCONT")],
  ["loses its network link", () => n2.engine.linkDown(), () => n2.engine.linkUp()],
])("a terminal through another node is disconnected and its processes end when the owner %s", async (_what, breakNode, repairNode) => {
  const terminal = await open(n1.server.url, `/ws/${box}?cols=80&rows=24`);
  terminal.type("sleep 2000\n");
  expect(await runs("sleep 2000")).toBe(true);
  breakNode();
  try {
    expect(await terminal.closed()).toBe(1006);
  } finally {
    repairNode();
  }
  expect(await becomesComplete(cluster)).toBe(true);
});

test.each<[string, () => TestNode]>([
  ["the owner", () => n2],
  ["the entry node", () => n1],
])("a terminal is disconnected and its processes end when the server of %s is killed, and a new terminal works", async (_role, killed) => {
  const terminal = await open(n1.server.url, `/ws/${box}?cols=80&rows=24`);
  terminal.type("sleep 2000 & sleep 2001\n");
  expect(await runs("sleep 2001")).toBe(true);
  await killed().server.stop("SIGKILL");
  try {
    expect(await terminal.closed()).toBe(1006);
    expect(await until(async () => (await processes()).join() === "sleep 100000", DEADLINE_MS)).toBe(true);
  } finally {
    await cluster.restart(killed());
  }
  expect(await becomesComplete(cluster)).toBe(true);
  const next = await open(n1.server.url, `/ws/${box}?tty=false`);
  next.type("exit 7\n");
  expect((await next.gets("exit")).code).toBe(7);
});

test("a stop of the owner closes a terminal with code 1001, and a stop of the entry node disconnects it", async () => {
  const owner = await open(n1.server.url, `/ws/${box}?cols=80&rows=24`);
  await owner.shows(/# /);
  // Until it logs that it listens, a signal ends the process at once.
  for (const { server } of [n1, n2]) expect(await until(() => server.output().includes("listening on"), DEADLINE_MS)).toBe(true);
  await n2.server.stop();
  expect(await owner.closed()).toBe(1001);
  await cluster.restart(n2);
  expect(await becomesComplete(cluster)).toBe(true);
  const forwarded = await open(n1.server.url, `/ws/${box}?cols=80&rows=24`);
  forwarded.type("sleep 2000\n");
  expect(await runs("sleep 2000")).toBe(true);
  await n1.server.stop();
  expect([1001, 1006]).toContain(await forwarded.closed());
  await cluster.restart(n1);
  expect(await becomesComplete(cluster)).toBe(true);
});
