import { until } from "../../../scripts/process";
import { startCluster, type TestCluster, type TestNode } from "../../support/cluster";
import { becomesComplete, locate, startContainer, uniqueName, waitForCachedAnswers } from "../../support/cluster-containers";
import { startHaproxy } from "../../support/haproxy";
import { callTool, connectMcp, post, TRANSPORTS } from "../../support/mcp";
import { auditEntries } from "../../support/single-node";

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

/** The result of a tool called through a node, without an initialize request to that node. */
const call = async (through: TestNode, name: string, args: object = {}) => {
  const { json } = await post(through.server.url, { method: "tools/call", params: { name, arguments: args } });
  return json.result as { isError?: true; structuredContent: Record<string, unknown>; content: { text: string }[] };
};

test("tools work through every node on a container of another node", async () => {
  const name = uniqueName("tool");
  const data = ["sh", "-c", "echo hello; sleep 1000"];
  const started = await call(n1, "run_container", { image: "busybox", name, data, detach: true, node: "n2" });
  expect(started.structuredContent).toMatchObject({ name, host: "n2", status: "running" });
  expect(await locate(cluster, name)).toEqual(["n2:running"]);
  for (const node of cluster.nodes) {
    const { result } = (await call(node, "list")).structuredContent;
    expect(result).toContainEqual(expect.objectContaining({ name, host: "n2" }));
    expect((await call(node, "logs", { id: name })).structuredContent).toMatchObject({ result: [{ stdout: "hello\n", host: "n2" }] });
    const byteCount = await call(node, "exec", { id: name, data: ["wc", "-c"], interactive: true, stdin: "x".repeat(500_000) });
    expect(byteCount.structuredContent).toMatchObject({ result: [{ stdout: "500000\n", host: "n2" }] });
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

test("runs of concurrent tool calls are spread over several nodes", async () => {
  const runs = Array.from({ length: 9 }, () => call(n1, "run_container", { image: "busybox", detach: true, data: ["sleep", "1000"] }));
  const hosts = (await Promise.all(runs)).map(({ structuredContent }) => structuredContent.host);
  // The scheduler may skip a busy node.
  expect(new Set(hosts).size).toBeGreaterThan(1);
});

test.each(TRANSPORTS)("the official client works through a load balancer over %s", async (transport) => {
  const requestCounts = () =>
    cluster.nodes.map(({ server }) => auditEntries(server).filter((entry) => entry.path.startsWith("/mcp")).length);
  const before = requestCounts();
  const client = await connectMcp(haproxy.url, transport);
  const started = await callTool(client, "run_container", { image: "busybox", detach: true, data: ["sleep", "1000"] });
  const id = started.json.id as string;
  for (let turn = 0; turn < 6; turn++) {
    const { json } = await callTool(client, "exec", { id, data: ["echo", String(turn)] });
    expect(json.result).toMatchObject([{ stdout: `${turn}\n`, host: started.json.host }]);
  }
  const progressEvents: unknown[] = [];
  await callTool(client, "exec", { id, data: ["sleep", "2"] }, { onprogress: (progress) => progressEvents.push(progress) });
  expect(progressEvents).not.toEqual([]);
  expect((await callTool(client, "remove", { id })).isError).toBe(false);
  await client.close();
  // Each node has received some requests.
  expect(await until(() => requestCounts().every((count, index) => count > (before[index] ?? 0)), 10_000)).toBe(true);
});

test("closing a client of the SSE transport aborts its calls on other nodes", async () => {
  const { name } = await startContainer(n1, {}, "n3");
  const client = await connectMcp(n1.server.url, "SSE");
  const result = callTool(client, "exec", { id: name, data: ["sleep", "1000"] }).catch(() => "cut");
  const executing = async () => (await n3.engine.docker(["top", name])).stdout.split("\n").filter(Boolean).length > 2;
  expect(await until(executing, 20_000)).toBe(true);
  await client.close();
  expect(await result).toBe("cut");
  const ended = () => auditEntries(n3.server).some((entry) => entry.path === `/${name}` && entry.method === "POST" && entry.aborted);
  expect(await until(ended, 10_000)).toBe(true);
});

test("an incomplete list names the missing node", async () => {
  await n2.server.stop("SIGKILL");
  await waitForCachedAnswers();
  const { structuredContent, content } = await call(n1, "list");
  expect(structuredContent).toMatchObject({ complete: false, missing: ["n2"] });
  expect(content[1]?.text).toBe("Not complete: no answer from n2");
  await cluster.restart(n2);
  expect(await becomesComplete(cluster)).toBe(true);
  expect((await call(n1, "list")).structuredContent).not.toHaveProperty("complete");
});
