import { until } from "../../../scripts/process";
import { startCluster, type TestCluster, type TestNode } from "../../support/cluster";
import { becomesComplete, locate, startContainer, uniqueName, waitForCachedAnswers } from "../../support/cluster-containers";
import { startHaproxy } from "../../support/haproxy";
import { callTool, connectMcp, post, TRANSPORTS } from "../../support/mcp";
import { TOKEN } from "../../support/server";
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
  const command = ["sh", "-c", "echo hello; sleep 1000"];
  const started = await call(n1, "run_container", { image: "busybox", name, command, node: "n2" });
  expect(started.structuredContent).toMatchObject({ name, host: "n2", status: "running" });
  expect(await locate(cluster, name)).toEqual(["n2:running"]);
  for (const node of cluster.nodes) {
    const { containers } = (await call(node, "list")).structuredContent;
    expect(containers).toContainEqual(expect.objectContaining({ name, host: "n2" }));
    expect((await call(node, "logs", { id: name })).structuredContent).toMatchObject({ stdout: "hello\n", host: "n2" });
    const byteCount = await call(node, "exec", { id: name, command: ["sh", "-c", `echo ${"x".repeat(100_000)} | wc -c`] });
    expect(byteCount.structuredContent).toMatchObject({ stdout: "100001\n", host: "n2" });
  }
  expect((await call(n3, "remove", { id: name })).structuredContent).toMatchObject({ name, removed: true });
  expect(await call(n1, "logs", { id: name })).toMatchObject({ isError: true, structuredContent: { code: "CONTAINER_NOT_FOUND" } });
});

test("a tool can be pinned to any node, through any node", async () => {
  for (const through of cluster.nodes) {
    for (const { name } of cluster.nodes)
      expect((await call(through, "health", { node: name })).structuredContent).toMatchObject({ host: name });
  }
});

test("runs of concurrent tool calls are spread over several nodes", async () => {
  const runs = Array.from({ length: 9 }, () => call(n1, "run_container", { image: "busybox", command: ["sleep", "1000"] }));
  const hosts = (await Promise.all(runs)).map(({ structuredContent }) => structuredContent.host);
  // The scheduler may skip a busy node.
  expect(new Set(hosts).size).toBeGreaterThan(1);
});

test.each(TRANSPORTS)("the official client works through a load balancer over %s", async (transport) => {
  const requestCounts = () =>
    cluster.nodes.map(({ server }) => auditEntries(server).filter((entry) => entry.path.startsWith("/mcp")).length);
  const before = requestCounts();
  const client = await connectMcp(haproxy.url, transport);
  const started = await callTool(client, "run_container", { image: "busybox", command: ["sleep", "1000"] });
  const id = started.json.id as string;
  for (let turn = 0; turn < 6; turn++) {
    const { json } = await callTool(client, "exec", { id, command: ["echo", String(turn)] });
    expect(json).toMatchObject({ stdout: `${turn}\n`, host: started.json.host });
  }
  const progressEvents: unknown[] = [];
  await callTool(client, "exec", { id, command: ["sleep", "2"] }, { onprogress: (progress) => progressEvents.push(progress) });
  expect(progressEvents).not.toEqual([]);
  expect((await callTool(client, "remove", { id })).isError).toBe(false);
  await client.close();
  // Each node has received some requests.
  expect(await until(() => requestCounts().every((count, index) => count > (before[index] ?? 0)), 10_000)).toBe(true);
});

test("closing a client of the SSE transport aborts its calls on other nodes", async () => {
  const { name } = await startContainer(n1, {}, "n3");
  const client = await connectMcp(n1.server.url, "SSE");
  const result = callTool(client, "exec", { id: name, command: ["sleep", "1000"] }).catch(() => "cut");
  const executing = async () => (await n3.engine.docker(["top", name])).stdout.split("\n").filter(Boolean).length > 2;
  expect(await until(executing, 20_000)).toBe(true);
  await client.close();
  expect(await result).toBe("cut");
  const ended = () =>
    auditEntries(n3.server).some((entry) => entry.path === `/containers/${name}/exec` && entry.method === "POST" && entry.aborted);
  expect(await until(ended, 10_000)).toBe(true);
});

test("an incomplete list names the missing node", async () => {
  await n2.server.stop("SIGKILL");
  await waitForCachedAnswers();
  const { structuredContent } = await call(n1, "list");
  expect(structuredContent).toMatchObject({ complete: false, missing: ["n2"] });
  await cluster.restart(n2);
  expect(await becomesComplete(cluster)).toBe(true);
  expect((await call(n1, "list")).structuredContent).toMatchObject({ complete: true });
});

test("an agent builds an app: creates it, writes its files, starts it, reads its page, changes it and removes it", async () => {
  // Without a connection kept open, haproxy gives each request to the next node.
  const client = await connectMcp(haproxy.url, "Streamable HTTP");
  const use = async (tool: string, args: object) => {
    const { isError, json, text } = await callTool(client, tool, args);
    expect({ tool, isError, text }).toMatchObject({ isError: false });
    return json;
  };
  await client.listTools(); // From here on the client checks each answer against the tool's output schema.
  const command = ["sh", "-c", 'echo "greeting is $GREETING"; exec httpd -f -p 80 -h /app'];
  const app = await use("create_app", { image: "busybox", command, ports: [{ host: 0, container: 80 }], env: { GREETING: "hello" } });
  const { cuid: id } = app;
  const files = { "index.html": "<h1>First</h1>", "sub/data.json": '{"ä": 1}' };
  expect(await use("write_files", { id, files })).toMatchObject({ files: 2, path: "/app" });
  expect(await use("control", { id, action: "start" })).toMatchObject({ status: "running" });
  const page = (path: string) => use("http_request", { id, path });
  expect(await until(async () => (await callTool(client, "http_request", { id })).json.status === 200, 20_000)).toBe(true);
  expect(await page("/")).toEqual({ status: 200, content_type: "text/html", content: "<h1>First</h1>", encoding: "utf8" });
  expect(await page("/sub/data.json")).toMatchObject({ content: '{"ä": 1}' });
  expect(await page("/missing")).toMatchObject({ status: 404 });
  expect((await use("logs", { id })).stdout).toBe("greeting is hello\n");

  await use("update_app", { id, env: { GREETING: "hi" } });
  await use("write_files", { id, path: "sub", files: { "data.json": "{}", empty: "" } });
  expect(await use("read_file", { id, path: "sub/data.json" })).toMatchObject({ content: "{}", size: 2 });
  expect(await use("read_file", { id, path: "sub/empty" })).toMatchObject({ content: "", size: 0 });
  expect((await use("list_files", { id, path: "sub" })).entries).toMatchObject([{ name: "data.json" }, { name: "empty" }]);
  expect(await until(async () => (await callTool(client, "logs", { id })).json.stdout === "greeting is hi\n", 20_000)).toBe(true);
  for (const what of ["details", "stats", "processes"]) await use("inspect", { id, what });
  for (const what of ["containers", "images", "volumes", "nodes"]) await use("list", { what });

  expect(await use("remove", { id })).toMatchObject({ removed: true });
  expect(await callTool(client, "http_request", { id })).toMatchObject({ isError: true, json: { code: "CONTAINER_NOT_FOUND" } });
  await client.close();
});

test.each([
  ["1.10", "mcp-sdk-1.10"],
  ["1.17", "mcp-sdk-1.17"],
])("a client of SDK %s lists and calls the tools through a load balancer, over both transports", async (_version, sdk) => {
  // These packages differ from the types of the current one.
  const { Client } = require(`${sdk}/client/index.js`);
  const { StreamableHTTPClientTransport } = require(`${sdk}/client/streamableHttp.js`);
  const { SSEClientTransport } = require(`${sdk}/client/sse.js`);
  const authorization = { Authorization: `Bearer ${TOKEN}` };
  // The older ones take the headers of the event stream apart from those of other requests.
  const withCredentials = (url: string, init: RequestInit) => {
    const headers = new Headers(init.headers);
    headers.set("Authorization", authorization.Authorization);
    return fetch(url, { ...init, headers });
  };
  const options = { requestInit: { headers: authorization }, eventSourceInit: { fetch: withCredentials } };
  for (const Transport of [StreamableHTTPClientTransport, SSEClientTransport]) {
    const client = new Client({ name: "old", version: "1" });
    await client.connect(new Transport(new URL("/mcp", haproxy.url), options));
    expect((await client.listTools()).tools.map(({ name }: { name: string }) => name)).toContain("create_app");
    const ran = await client.callTool({ name: "run", arguments: { image: "busybox", pull_policy: "never", command: ["echo", "old"] } });
    expect(ran.content[0].text).toContain('"stdout":"old\\n"');
    const failed = await client.callTool({ name: "inspect", arguments: { id: "no-such" } });
    expect([failed.isError, JSON.parse(failed.content[0].text).code]).toEqual([true, "CONTAINER_NOT_FOUND"]);
    await client.close();
  }
});
