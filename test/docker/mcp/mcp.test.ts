import path from "node:path";
import type { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { run, until } from "../../../scripts/process";
import { uniqueName } from "../../support/cluster-containers";
import { callTool, connectMcp, post, TRANSPORTS, type TransportName } from "../../support/mcp";
import { ask, TOKEN } from "../../support/server";
import { auditEntries, type OneNode, startNode } from "../../support/single-node";

let node: OneNode;
beforeAll(async () => {
  node = await startNode({ name: "mcp", args: ["--token=second-token", "--body_limit=8"] });
  await node.docker("run", "--detach", "--name", "box", "busybox", "sh", "-c", "echo out; echo err >&2; sleep 100000");
});
afterAll(() => node?.stop());

const DOCUMENTED = ["run", "volume", "health"];

describe.each(TRANSPORTS)("the official client over %s", (transport: TransportName) => {
  let client: Client;
  beforeAll(async () => {
    client = await connectMcp(node.server.url, transport);
  });
  afterAll(() => client?.close());

  test("lists the tools with their schemas and annotations", async () => {
    const { tools } = await client.listTools();
    expect(tools.map(({ name }) => name)).toEqual(expect.arrayContaining(DOCUMENTED));
    const tool = (name: string) => tools.find((each) => each.name === name);
    expect(tool("exec")).toMatchObject({
      inputSchema: { type: "object", required: ["id", "command"], additionalProperties: false },
      outputSchema: { type: "object", properties: expect.objectContaining({ stdout: { type: "string" } }) },
    });
    expect(client.getInstructions()).toContain("create_app, write_files");
  });

  test("runs, lists, executes in and removes a container, with the routes' answers", async () => {
    const name = uniqueName("mcp");
    const started = await callTool(client, "run_container", { image: "busybox", name, command: ["sleep", "1000"] });
    expect(started).toMatchObject({ isError: false, json: { name, status: "running" } });
    expect(JSON.parse(started.text)).toEqual(started.json);
    const { json: list } = await callTool(client, "list");
    expect(list).toEqual((await node.request("GET", "/containers?all=true")).json);
    expect(list.containers).toContainEqual(expect.objectContaining({ name, status: "running" }));
    const joined = await callTool(client, "exec", { id: name, command: "echo a && echo b" });
    expect(joined.json).toMatchObject({ stdout: "a && echo b\n", warnings: [expect.stringContaining("no shell runs the command")] });
    const executed = await callTool(client, "exec", { id: name, command: "sh -c 'echo in; exit 3'" });
    expect(executed).toMatchObject({ isError: false, json: { name, exit_code: 3, stdout: "in\n" } });
    expect((await callTool(client, "remove", { id: name })).json).toMatchObject({ name, removed: true });
    expect(await node.names()).not.toContain(name);
  });

  test("runs a job and creates a volume by the documented names and arguments", async () => {
    const name = uniqueName("volume");
    expect((await callTool(client, "volume", { name })).json).toMatchObject({ status: "success" });
    expect(await node.docker("volume", "ls", "--quiet")).toContain(name);
    const { json } = await callTool(client, "run", {
      image: "busybox",
      pull_policy: "never",
      command: ["sh", "-c", "echo $TEST; echo kept > /data/file"],
      env_vars: { TEST: "value" },
      volumes: { "/data": { type: "volume", name, response: true } },
    });
    expect(json).toMatchObject({ status: "success", stdout: "value\n", exit_code: 0, volumes: { "/data": { type: "volume" } } });
    expect((await callTool(client, "health")).json).toMatchObject({ status: "ok" });
  });

  test("a job ends when its client disconnects", async () => {
    const leaving = await connectMcp(node.server.url, transport);
    const before = (await node.names()).length;
    const args = { image: "busybox", pull_policy: "never", command: ["sleep", "1000"] };
    const call = callTool(leaving, "run", args).catch(() => "cut");
    expect(await until(async () => (await node.names()).length > before, 20_000)).toBe(true);
    await leaving.close();
    expect(await call).toBe("cut");
    expect(await until(async () => (await node.names()).length === before, 20_000)).toBe(true);
  });

  test("reads logs with the route's query parameters", async () => {
    expect((await callTool(client, "logs", { id: "box" })).json).toEqual((await node.request("GET", "/box")).json);
    expect((await callTool(client, "logs", { id: "box", tail: "0", timestamps: true })).json).toMatchObject({ stdout: "" });
  });

  test("gets a route's error as a result with the error body", async () => {
    const { isError, json, text } = await callTool(client, "logs", { id: "no-such" });
    const { json: same } = await node.request("GET", "/no-such");
    expect(isError).toBe(true);
    const { detail: _, ...body } = same;
    expect(json).toEqual({ ...body, request_id: expect.any(String), timestamp: expect.any(String) });
    expect(JSON.parse(text)).toEqual(json);
    const refused = await callTool(client, "run_container", { image: "busybox", volumes: { "/var/run/docker.sock": "/s" } });
    expect(refused).toMatchObject({ isError: true, json: { code: "NOT_ALLOWED", status: 403 } });
  });

  test("gets this server's error of a page, also for a method whose answers have no body", async () => {
    for (const method of ["GET", "HEAD"]) {
      const { isError, json } = await callTool(client, "http_request", { id: "nowhere", method });
      expect({ method, isError, ...json }).toMatchObject({ method, isError: true, status: 404, code: "CONTAINER_NOT_FOUND" });
    }
  });

  test("creates an app with its name, restart policy and volumes, and changes them", async () => {
    const name = uniqueName("app");
    const options = { name, restart_policy: "unless-stopped", volumes: { [name]: "/data" } };
    const { json: app } = await callTool(client, "create_app", { image: "busybox", command: ["sleep", "1000"], ...options });
    const restartPolicy = async () => (await node.inspect(app.cuid)).HostConfig.RestartPolicy.Name;
    expect(await restartPolicy()).toBe("unless-stopped");
    expect((await callTool(client, "update_app", { id: name, restart_policy: "no" })).isError).toBe(false);
    expect(await restartPolicy()).toBe("no");
    expect((await callTool(client, "remove", { id: name })).json).toMatchObject({ removed: true });
    await callTool(client, "remove", { what: "volume", id: name });
  });

  test.each<[string, object, string, string]>([
    ["logs", {}, "MISSING_ID", "id is required"],
    ["logs", { id: 7 }, "INVALID_ID", "id must be"],
    ["logs", { id: "../nodes" }, "INVALID_ID", "id must be"],
    ["logs", { id: "" }, "INVALID_ID", "id must be"],
    ["logs", { id: "box", tail: "many" }, "INVALID_TAIL", "tail must be"],
    ["logs", { id: "box", tail: { lines: 3 } }, "INVALID_TAIL", "tail must be"],
    ["logs", { id: "box", follow: true }, "INVALID_FOLLOW", "follow is not known here"],
    ["exec", { id: "box", command: ["true"], workdir: 7 }, "INVALID_WORKDIR", "workdir must be"],
    ["run_container", {}, "MISSING_IMAGE", "image is required"],
    ["health", { id: "box" }, "INVALID_ID", "id is not known here"],
    // These would address other routes.
    ["logs", { id: "version" }, "CONTAINER_NOT_FOUND", "version is a word of this API"],
    ["exec", { id: "box", command: '["true"' }, "INVALID_COMMAND", "command must be a list"],
    ["list", { node: "elsewhere" }, "NODE_NOT_FOUND", "No such node: elsewhere"],
  ])("calling %s with %j gives %s", async (tool, args, code, message) => {
    const { isError, json } = await callTool(client, tool, args);
    expect({ isError, code: json.code, message: json.message.slice(0, message.length) }).toEqual({ isError: true, code, message });
  });

  test("an unknown tool is an error that names the existing tools", async () => {
    await expect(callTool(client, "no-such")).rejects.toThrow(/no such tool: no-such; there are run, volume/);
  });

  test("gets progress notifications every second on request", async () => {
    const progressMessages: (string | undefined)[] = [];
    const onprogress = ({ message }: { message?: string | undefined }) => progressMessages.push(message);
    await callTool(client, "exec", { id: "box", command: ["sleep", "3"] }, { onprogress });
    expect(progressMessages[0]).toBe("exec goes on since 1 s");
  });

  test("a disconnecting client ends its calls", async () => {
    const leaving = await connectMcp(node.server.url, transport);
    const name = uniqueName("left");
    await node.docker("run", "--detach", "--name", name, "busybox", "sleep", "1000");
    const call = callTool(leaving, "exec", { id: name, command: ["sh", "-c", "touch /begun; sleep 1000"] }).catch(() => "cut");
    const commandRunning = async () => (await node.engine.docker(["exec", name, "ls", "/begun"])).code === 0;
    expect(await until(commandRunning, 20_000)).toBe(true);
    await leaving.close();
    expect(await call).toBe("cut");
    const ended = () => auditEntries(node.server).some((entry) => entry.path === `/containers/${name}/exec` && entry.aborted);
    // Well before `run_wait`, 20 s.
    expect(await until(ended, 10_000)).toBe(true);
  });

  test("is refused without the right credentials", async () => {
    await expect(connectMcp(node.server.url, transport, "wrong")).rejects.toThrow(/401/);
  });
});

test("a cancelled call of the older transport ends", async () => {
  const client = await connectMcp(node.server.url, "SSE");
  const name = uniqueName("cancelled");
  await node.docker("run", "--detach", "--name", name, "busybox", "sleep", "1000");
  const cancelling = new AbortController();
  const call = callTool(client, "exec", { id: name, command: ["sleep", "1000"] }, { signal: cancelling.signal }).catch(() => "cut");
  const executing = async () => (await node.docker("top", name)).split("\n").length > 2;
  expect(await until(executing, 20_000)).toBe(true);
  cancelling.abort();
  expect(await call).toBe("cut");
  expect(
    await until(() => auditEntries(node.server).some((entry) => entry.path === `/containers/${name}/exec` && entry.aborted), 10_000),
  ).toBe(true);
  expect((await callTool(client, "health")).json).toMatchObject({ status: "ok" });
  await client.close();
});

test("a tool call has its own audit entry, as the request it stands for", async () => {
  const message = { method: "tools/call", params: { name: "logs", arguments: { id: "box", tail: "1" } } };
  const { headers } = await post(node.server.url, message, { "X-Request-Id": "of-this-call" });
  expect(headers.get("x-request-id")).toBe("of-this-call");
  const lines = () => auditEntries(node.server).filter((entry) => entry.request_id === "of-this-call");
  expect(await until(() => lines().length === 2, 10_000)).toBe(true);
  const [inner, outer] = lines();
  expect(outer).toMatchObject({ method: "POST", path: "/mcp", status: 200 });
  expect(outer).not.toHaveProperty("tool");
  expect(inner).toMatchObject({ method: "GET", path: "/box", tool: "logs", status: 200, user: outer.user, address: outer.address });
});

test("a call with invalid arguments, or of no tool, has an audit entry that says so", async () => {
  const call = (name: string) =>
    post(node.server.url, { method: "tools/call", params: { name, arguments: { id: 7 } } }, { "X-Request-Id": `wrong-${name}` });
  await call("logs");
  await call("no-such");
  const entry = (name: string) => auditEntries(node.server).find((each) => each.request_id === `wrong-${name}` && each.tool !== undefined);
  expect(await until(() => entry("logs") !== undefined && entry("no-such") !== undefined, 10_000)).toBe(true);
  expect(entry("logs")).toMatchObject({ path: "/mcp", tool: "logs", status: 400, code: "INVALID_ID" });
  expect(entry("no-such")).toMatchObject({ path: "/mcp", tool: "no-such", status: 400, code: "INVALID_INPUT" });
});

test("the answer is JSON or an event stream, as the client accepts", async () => {
  const message = { method: "tools/call", params: { name: "health" } };
  const plain = await post(node.server.url, message);
  expect(plain.headers.get("content-type")).toMatch("application/json");
  expect(plain.json).toMatchObject({ id: 1, result: { structuredContent: { status: "ok" } } });
  const events = await post(node.server.url, message, { Accept: "text/event-stream" });
  expect(events.headers.get("content-type")).toBe("text/event-stream");
  expect(events.text).toMatch(/^event: message\ndata: \{"result"/);
});

test("a repeated Idempotency-Key gives the same run", async () => {
  const params = { name: "run_container", arguments: { image: "busybox", command: ["sleep", "1000"] } };
  const run = () => post(node.server.url, { method: "tools/call", params }, { "Idempotency-Key": "once-only" });
  const { id } = (await run()).json.result.structuredContent;
  expect((await run()).json.result.structuredContent).toMatchObject({ id, repeated: true });
});

test("an answer of several MB arrives complete", async () => {
  const message = { method: "tools/call", params: { name: "exec", arguments: { id: "box", command: "head -c 3000000 /dev/zero" } } };
  const { json } = await post(node.server.url, message);
  expect(json.result.structuredContent.stdout).toHaveLength(3_000_000);
});

test("bodies are limited in size and must be JSON-RPC messages", async () => {
  const limited = await post(node.server.url, { method: "tools/call", params: { name: "list", padding: "x".repeat(8_100_000) } });
  expect(limited.json).toMatchObject({ code: "BODY_TOO_LARGE" });
  expect((await node.request("POST", "/mcp", { json: { id: 1 } })).json).toMatchObject({ code: "MISSING_JSONRPC" });
});

test("missing credentials are a 401, pages of another origin a 403", async () => {
  const message = { method: "tools/call", params: { name: "health" } };
  expect((await post(node.server.url, message, {}, true)).status).toBe(401);
  expect((await node.request("GET", "/mcp", { anonymous: true, headers: { Accept: "text/event-stream" } })).status).toBe(401);
  expect((await post(node.server.url, message, { Origin: "http://evil.example" })).json).toMatchObject({ code: "CROSS_SITE" });
});

test("a message to another client's stream is refused", async () => {
  const leaving = new AbortController();
  const headers = { Authorization: `Bearer ${TOKEN}`, Accept: "text/event-stream" };
  const stream = await fetch(`${node.server.url}/mcp`, { headers, signal: leaving.signal });
  const first = await stream.body?.getReader().read();
  const messages = /data: (\S+)/.exec(Buffer.from(first?.value ?? []).toString())?.[1] ?? "";
  const send = (token: string) =>
    ask(node.server.url, "POST", messages, {
      json: { jsonrpc: "2.0", method: "notifications/initialized" },
      headers: { Authorization: `Bearer ${token}` },
    });
  expect((await send("second-token")).json).toMatchObject({ status: 404, code: "SESSION_NOT_FOUND" });
  expect((await send(TOKEN)).status).toBe(202);
  leaving.abort();
  expect(await until(async () => (await send(TOKEN)).status === 404, 10_000)).toBe(true);
});

test("GET /mcp by a client of the newer transport is a 405", async () => {
  const headers = { Accept: "text/event-stream", "MCP-Protocol-Version": "2025-06-18" };
  expect((await node.request("GET", "/mcp", { headers })).status).toBe(405);
});

test.each(["", "--sse"])("the example runs over REST and MCP %s", async (flag) => {
  const script = path.resolve(__dirname, "../../../examples/mcp-client.mjs");
  const args = [script, node.server.url, "busybox", ...(flag ? [flag] : [])];
  const { code, stdout, stderr } = await run(process.execPath, args, { env: { ...process.env, TOKEN } });
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  expect(stdout).toMatch(/^REST said: Hello from REST!\nTools: .*health.*\nHealth: ok\n(exec goes on.*\n)+MCP said: Hello from MCP!\n$/);
});
