import { until } from "../../../scripts/process";
import { startCluster, type TestCluster, type TestNode } from "../../support/cluster";
import { startHaproxy } from "../../support/haproxy";
import { callTool, connectMcp, post, TRANSPORTS } from "../../support/mcp";
import { auditEntries } from "../../support/one-node";
import { aMoment, becomesWhole, place, unique, whereIs } from "../../support/pool";

let cluster: TestCluster;
let haproxy: Awaited<ReturnType<typeof startHaproxy>>;
let [n1, n2, n3] = [] as unknown as [TestNode, TestNode, TestNode];
beforeAll(async () => {
  cluster = await startCluster({ size: 3 });
  [n1, n2, n3] = cluster.nodes as [TestNode, TestNode, TestNode];
  haproxy = await startHaproxy(cluster.nodes.map(({ server }) => server));
});
afterAll(async () => {
  await haproxy?.stop();
  await cluster?.stop();
});

/** What a tool answers that is called through a node, without anything said to that node before. */
const call = async (through: TestNode, name: string, args: object = {}) => {
  const { json } = await post(through.server.url, { method: "tools/call", params: { name, arguments: args } });
  return json.result as { isError?: true; structuredContent: Record<string, unknown>; content: { text: string }[] };
};

test("each call may go to another node, and each node's tools work on all nodes", async () => {
  const name = unique("tool");
  const data = ["sh", "-c", "echo hello; sleep 1000"];
  const started = await call(n1, "run_container", { image: "busybox", name, data, detach: true, node: "n2" });
  expect(started.structuredContent).toMatchObject({ name, host: "n2", status: "running" });
  expect(await whereIs(cluster, name)).toEqual(["n2:running"]);
  for (const node of cluster.nodes) {
    const { result } = (await call(node, "list")).structuredContent;
    expect(result).toContainEqual(expect.objectContaining({ name, host: "n2" }));
    expect((await call(node, "logs", { id: name })).structuredContent).toMatchObject({ result: [{ stdout: "hello\n", host: "n2" }] });
    const said = await call(node, "exec", { id: name, data: ["wc", "-c"], interactive: true, stdin: "x".repeat(500_000) });
    expect(said.structuredContent).toMatchObject({ result: [{ stdout: "500000\n", host: "n2" }] });
  }
  expect((await call(n3, "remove", { id: name })).structuredContent).toMatchObject({ result: [{ name, removed: true }] });
  expect(await call(n1, "logs", { id: name })).toMatchObject({ isError: true, structuredContent: { code: "CONTAINER_NOT_FOUND" } });
});

test("a tool can be pinned to any node, through any node", async () => {
  for (const through of cluster.nodes) {
    for (const { name } of cluster.nodes)
      expect((await call(through, "health", { node: name })).structuredContent).toMatchObject({ host: name });
  }
});

test("runs of many calls are placed by the cluster like any others", async () => {
  const runs = Array.from({ length: 9 }, () => call(n1, "run_container", { image: "busybox", detach: true, data: ["sleep", "1000"] }));
  const hosts = (await Promise.all(runs)).map(({ structuredContent }) => structuredContent.host);
  // A node that is busy just then is passed over.
  expect(new Set(hosts).size).toBeGreaterThan(1);
});

test.each(TRANSPORTS)("the official client works through a load balancer over %s", async (transport) => {
  const seen = () => cluster.nodes.map(({ server }) => auditEntries(server).filter((entry) => entry.path.startsWith("/mcp")).length);
  const before = seen();
  const client = await connectMcp(haproxy.url, transport);
  const started = await callTool(client, "run_container", { image: "busybox", detach: true, data: ["sleep", "1000"] });
  const id = started.json.id as string;
  for (let turn = 0; turn < 6; turn++) {
    const { json } = await callTool(client, "exec", { id, data: ["echo", String(turn)] });
    expect(json.result).toMatchObject([{ stdout: `${turn}\n`, host: started.json.host }]);
  }
  const heard: unknown[] = [];
  await callTool(client, "exec", { id, data: ["sleep", "2"] }, { onprogress: (progress) => heard.push(progress) });
  expect(heard).not.toEqual([]);
  expect((await callTool(client, "remove", { id })).isError).toBe(false);
  await client.close();
  // Each node has taken some.
  expect(await until(() => seen().every((count, index) => count > (before[index] ?? 0)), 10_000)).toBe(true);
});

test("a client of the older transport that leaves ends its calls on the nodes that work for it", async () => {
  const { name } = await place(n1, {}, "n3");
  const client = await connectMcp(n1.server.url, "SSE");
  const result = callTool(client, "exec", { id: name, data: ["sleep", "1000"] }).catch(() => "cut");
  const executing = async () => (await n3.engine.docker(["top", name])).stdout.split("\n").filter(Boolean).length > 2;
  expect(await until(executing, 20_000)).toBe(true);
  await client.close();
  expect(await result).toBe("cut");
  const ended = () => auditEntries(n3.server).some((entry) => entry.path === `/${name}` && entry.method === "POST" && entry.aborted);
  expect(await until(ended, 10_000)).toBe(true);
});

test("a list that isn't complete says so, and who is missing", async () => {
  await n2.server.stop("SIGKILL");
  await aMoment();
  const { structuredContent, content } = await call(n1, "list");
  expect(structuredContent).toMatchObject({ complete: false, missing: ["n2"] });
  expect(content[1]?.text).toBe("Not complete: no answer from n2");
  await cluster.restart(n2);
  expect(await becomesWhole(cluster)).toBe(true);
  expect((await call(n1, "list")).structuredContent).not.toHaveProperty("complete");
});
