import { type Engine, leaseEngine } from "../../support/engine";
import { importBusybox } from "../../support/images";
import { startLimited } from "../../support/limited-server";
import { post } from "../../support/mcp";
import type { TestServer } from "../../support/server";

const LIMIT = 4;
const headers = { Authorization: "Bearer first" };

let engine: Engine;
let server: TestServer;
beforeAll(async () => {
  engine = await leaseEngine({ name: "mcp-limits" });
  await importBusybox(engine);
  await engine.docker(["run", "-d", "--name", "box", "busybox", "sleep", "1000"]);
});
afterAll(() => engine?.stop());
beforeEach(async () => {
  server = await startLimited(engine, ["--token=first", "--low_burst=5", `--mid_burst=${LIMIT}`]);
});
afterEach(() => server?.stop("SIGKILL"));

const call = async (name: string, args: object) =>
  (await post(server.url, { method: "tools/call", params: { name, arguments: args } }, headers, true)).json.result;

test("tool calls and requests share burst limits; MCP messages themselves have none", async () => {
  for (let turn = 0; turn < LIMIT / 2; turn++) {
    expect((await call("logs", { id: "box" })).isError).toBeUndefined();
    expect((await server.request("GET", "/box", { headers })).status).toBe(200);
  }
  expect(await call("logs", { id: "box" })).toMatchObject({
    isError: true,
    structuredContent: { code: "TOO_MANY_REQUESTS", details: { burst: "mid" } },
  });
  expect((await server.request("GET", "/box", { headers })).status).toBe(429);
  expect((await call("exec", { id: "box", command: ["true"] })).structuredContent).toMatchObject({ exit_code: 0 });
});

test("addresses that guess credentials at /mcp are blocked", async () => {
  const guess = () => post(server.url, { method: "tools/list" }, { Authorization: "Bearer wrong" }, true);
  for (let turn = 0; turn < 5; turn++) expect((await guess()).status).toBe(401);
  expect((await guess()).json).toMatchObject({ code: "TOO_MANY_WRONG_CREDENTIALS" });
});
