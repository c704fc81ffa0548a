import { until } from "../../../scripts/process";
import { comesBackTo, everythingOn, oneOff, runsUnderWay } from "../../support/runs";
import { type OneNode, residentMemory, startNode } from "../../support/single-node";

let node: OneNode;
let before: string[];
beforeAll(async () => {
  const limits = ["--run_max_time=4", "--run_max_output=100000", "--run_concurrency=2", "--run_wait=2", "--run_pids=40"];
  node = await startNode({ name: "runs-limits", args: limits });
  before = await everythingOn(node);
});
afterAll(() => node?.stop());
afterEach(async () => expect(await everythingOn(node)).toEqual(before));

const sh = (script: string, more: object = {}) => oneOff(node, { command: ["sh", "-c", script], ...more });

test("a run that takes too long is ended, and its output is returned", async () => {
  const { status, json } = await sh("echo begun; echo x > /f; sleep 1000", {
    volumes: { "/f": { type: "file", content: "", response: true } },
  });
  expect([status, json.status, json.stdout]).toEqual([200, "error: limits.execution_time", "begun\n"]);
  expect(json.execution_time).toBeGreaterThanOrEqual(4);
  expect(Buffer.from(json.volumes["/f"].content, "base64").toString()).toBe("x\n");
});

test("a run that ignores all signals is ended", async () => {
  expect((await sh("trap '' TERM INT HUP; while true; do :; done")).json.status).toBe("error: limits.execution_time");
});

test("a run that writes too much is ended, and the first output is returned", async () => {
  const resident = residentMemory(node.server.process.pid);
  const { json } = await sh("yes >&2 & yes out");
  expect(json.status).toBe("error: limits.read.size");
  expect(json.stdout.length + json.stderr.length).toBe(100_000);
  expect(residentMemory(node.server.process.pid) - resident).toBeLessThan(100);
  expect((await sh("head -c 100000 /dev/zero | tr '\\0' x")).json).toMatchObject({ status: "success", stdout: "x".repeat(100_000) });
});

test("a run that uses too much memory is ended with that limit", async () => {
  const hog = "x=aaaaaaaaaaaaaaaa; for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do x=$x$x; done; echo held";
  expect((await sh(hog, { memory: 12_000_000 })).json).toMatchObject({ status: "error: limits.memory", exit_code: 137 });
  expect((await sh(hog)).json).toMatchObject({ status: "success", stdout: "held\n" });
});

test("a fork bomb is limited and doesn't affect other runs", async () => {
  const bomb = sh("bomb() { bomb | bomb & }; bomb; sleep 1000");
  expect(await runsUnderWay(node, 1)).toBe(true);
  expect((await sh("echo fine")).json).toMatchObject({ status: "success", stdout: "fine\n" });
  expect((await bomb).json.status).toMatch(/^error: /);
});

test("exit codes, both streams and non-UTF-8 output are returned", async () => {
  expect((await sh("printf '\\377'; echo e >&2; exit 7")).json).toMatchObject({
    status: "error: 7",
    exit_code: 7,
    stdout: "/w==",
    stdout_encoding: "base64",
    stderr: "e\n",
    host: expect.any(String),
  });
  expect((await sh("sh -c 'kill -9 $$'; exit $?")).json).toMatchObject({ status: "error: 137", exit_code: 137 });
});

test("runs beyond the concurrency limit wait, and get 503 after the timeout", async () => {
  const long = [sh("sleep 1000"), sh("sleep 1000")];
  expect(await runsUnderWay(node, 2)).toBe(true);
  const late = await sh("echo too late");
  expect(late.json).toMatchObject({ status: 503, code: "NO_ROOM" });
  expect(late.headers.get("retry-after")).toMatch(/^\d+$/);
  const next = sh("echo in time");
  await Promise.all(long);
  const answer = await next;
  // On a slow machine it can have waited longer than run_wait.
  expect(answer.status === 503 || answer.json.stdout === "in time\n").toBe(true);
});

test("concurrent runs return their own output within the concurrency limit", async () => {
  let most = 0;
  let done = false;
  const watch = until(async () => {
    const names = await node.docker("ps", "--filter", "name=docker-server-job-", "--format", "{{.Names}}");
    most = Math.max(most, names.split("\n").filter(Boolean).length);
    return done;
  }, 100_000);
  const answers = await Promise.all(Array.from({ length: 6 }, (_, index) => sh(`echo ${index}`)));
  done = true;
  await watch;
  for (const [index, { status, json }] of answers.entries()) {
    expect(status === 503 ? "503" : json.stdout).toBe(status === 503 ? "503" : `${index}\n`);
  }
  expect(most).toBeLessThanOrEqual(2);
});

test("the server answers other requests while runs are at their limits", async () => {
  const running = sh("while true; do :; done");
  expect(await runsUnderWay(node, 1)).toBe(true);
  expect((await node.request("GET", "/health")).status).toBe(200);
  expect((await node.request("GET", "/")).json).toHaveLength(1);
  await running;
  expect(await comesBackTo(node, before)).toBe(true);
});

test.each([
  ["image", { image: "UPPER" }],
  ["command", { command: "echo 'open" }],
  ["env_vars", { env_vars: { "1A": "x" } }],
  ["pull_policy", { pull_policy: "sometimes" }],
  ["memory", { memory: 1000 }],
  ["volumes", { volumes: [1] }],
  ["auth_config", { auth_config: { username: "u" } }],
  ["unknown", { unknown: 1 }],
])("a wrong %s is a 400 with the field", async (field, fields) => {
  const { json } = await oneOff(node, fields);
  expect(json.status).toBe(400);
  expect(json.details.field).toMatch(new RegExp(`^${field}`));
});
