import { RUN_CONTAINER_PREFIX } from "../../../lib/docker/create/policy";
import { until } from "../../../scripts/process";
import { importRunner } from "../../support/images";
import { code, comesBackTo, everythingOn, rawCode, runsUnderWay } from "../../support/runs";
import { type OneNode, startNode } from "../../support/single-node";

let node: OneNode;
let before: string[];
beforeAll(async () => {
  const limits = ["--run_max_time=4", "--run_max_output=100000", "--run_memory=40000000", "--run_tmpfs=1000000", "--run_concurrency=3"];
  node = await startNode({ name: "runs-code", args: [...limits, "--run_pool_memory=0"] });
  await importRunner(node.engine);
  before = await everythingOn(node);
});
afterAll(() => node?.stop());
afterEach(async () => expect(await comesBackTo(node, before)).toBe(true));

const ask = (json: object) => node.request("POST", "/run", { json: { image: "code-runner", ...json } });

test("the program reads the payload on stdin, and its object is returned unchanged", async () => {
  expect((await code(node, "echo hello; echo oops >&2; exit 3")).json).toEqual({ stdout: "hello", stderr: "oops", error: "exit status 3" });
  const odd = '{ "n":12345678901234567890.0,  "n": 1e999, "u":"\\u00e9é" }';
  const answer = await rawCode(node, `printf %s '${odd}'`);
  expect([answer.status, answer.text, answer.headers.get("content-type")]).toEqual([200, odd, "application/json; charset=utf-8"]);
});

test("the response comes when the object is complete, not at the exit", async () => {
  // Waiting for the exit would end at the time limit.
  expect((await rawCode(node, `echo '{"a":'; sleep 0.2; echo '1}'; sleep 1000`)).json).toEqual({ a: 1 });
});

test("an endless loop ends at its time limit", async () => {
  const { status, json } = await rawCode(node, "echo begun; trap '' TERM INT; while true; do :; done");
  expect([status, json.error, json.code]).toEqual([400, "validation_error", "limits.execution_time"]);
  expect(json.details).toMatchObject({ stdout: "begun\n", stderr: "" });
});

test("too much output ends the run, on either stream", async () => {
  for (const flood of ["yes", "yes >&2", 'printf \'{"a":"\'; yes']) {
    const { status, json } = await rawCode(node, flood);
    expect([status, json.code]).toEqual([400, "limits.read.size"]);
  }
});

test("using too much memory ends the run", async () => {
  const hog = "x=aaaaaaaaaaaaaaaa; while true; do x=$x$x; done";
  expect(await rawCode(node, hog)).toMatchObject({ status: 400, json: { code: "limits.memory", details: { exit_code: 137 } } });
});

test("a fork bomb is contained and doesn't affect other runs", async () => {
  const bomb = rawCode(node, "bomb() { bomb | bomb & }; bomb; sleep 1000");
  expect(await runsUnderWay(node, 1)).toBe(true);
  const script = "for i in 1 2 3 4 5 6 7 8 9 10; do sleep 1 & done; wait; echo fine";
  expect((await code(node, script)).json).toMatchObject({ stdout: "fine", stderr: "" });
  expect((await bomb).json.status).toBe(400);
});

test("only /tmp is writable, up to its limit", async () => {
  const fill = await code(
    node,
    "for d in / /etc /var /home /bin; do echo x > $d/file && echo wrote $d; done; cat /dev/zero > /tmp/fill; wc -c < /tmp/fill",
  );
  expect(fill.json.stderr).toContain("Read-only file system");
  expect(fill.json.stderr).toContain("No space left on device");
  expect(Number(fill.json.stdout)).toBeLessThanOrEqual(1_003_520);
});

test("a volume of the image has the same size limit as /tmp", async () => {
  const container = await node.docker("create", "code-runner");
  await node.docker("commit", "--change", "VOLUME /data", container, "with-volume");
  await node.docker("rm", container);
  const script = Buffer.from("cat /dev/zero > /data/fill; wc -c < /data/fill").toString("base64");
  const { json } = await ask({ image: "with-volume", payload: { script } });
  expect(await until(async () => (await node.docker("ps", "--all", "--quiet")) === "", 30_000)).toBe(true);
  await node.docker("rmi", "with-volume");
  expect(Number(json.stdout)).toBeLessThanOrEqual(1_003_520);
});

test("code runs have no network", async () => {
  const probe = await code(node, "ls /sys/class/net; nc -w 2 172.17.0.1 80 </dev/null");
  expect(probe.json.stdout.split("\n")[0]).toBe("lo");
  expect(probe.json.stderr).toMatch(/unreachable|can't connect/i);
});

test("code runs as an unprivileged user with the configured limits", async () => {
  const script =
    "id -u; hostname; ulimit -n; ulimit -u; grep -E 'CapEff|CapBnd|NoNewPrivs' /proc/self/status; touch /proc/sys/kernel/x; mount -t tmpfs x /tmp";
  const { stdout, stderr } = (await code(node, script)).json;
  const [user, host, nofile, , ...rest] = stdout.split("\n");
  expect(Number(user)).toBeGreaterThanOrEqual(61_184);
  expect([host, nofile]).toEqual(["run", "90"]);
  expect(rest.join(" ")).toMatch(/CapEff:\\?t?\s*0+ CapBnd:\\?t?\s*0+ NoNewPrivs:\\?t?\s*1/);
  expect(stderr).toMatch(/mount:.*(permission|Operation)/i);
});

test("a run without a result returns its exit code and output", async () => {
  const { status, json } = await rawCode(node, "echo no json; echo why >&2; exit 7");
  expect([status, json.code]).toEqual([400, "RUN_NO_RESULT"]);
  expect(json.details).toEqual({ stdout: "no json\n", stderr: "why\n", exit_code: 7 });
  for (const none of ["true", "echo '[]'", "echo '{\"a\":}'", "echo '{\"a\"'", "printf '\\377'"]) {
    expect((await rawCode(node, none)).json.code).toBe("RUN_NO_RESULT");
  }
});

test.each([
  ["image", { image: undefined, payload: {} }],
  ["payload", { payload: [] }],
  ["payload", { payload: "text" }],
  ["command", { payload: {}, command: "ls" }],
  ["pull_policy", { payload: {}, pull_policy: "always" }],
  ["volumes", { payload: {}, volumes: {} }],
  ["memory", { payload: {}, memory: 100_000_000 }],
])("a wrong %s is a 400 with the field", async (field, json) => {
  expect((await ask(json)).json).toMatchObject({ status: 400, details: { field } });
});

test("an unsuitable or missing image has its own error", async () => {
  expect(await ask({ image: "localhost:1/none", payload: {} })).toMatchObject({ status: 502, json: { code: "REGISTRY_UNREACHABLE" } });
  expect((await ask({ image: "busybox", payload: { a: 1 } })).json.code).toBe("RUN_NO_RESULT");
});

test("a disconnected client ends its run", async () => {
  const client = new AbortController();
  const answer = rawCode(node, "sleep 1000", { signal: client.signal }).catch(() => "left");
  expect(await runsUnderWay(node, 1)).toBe(true);
  client.abort();
  expect(await answer).toBe("left");
  expect(await comesBackTo(node, before)).toBe(true);
});

test("runs beyond the concurrency limit wait, and metrics count them", async () => {
  const runs = Array.from({ length: 5 }, (_, index) => code(node, `sleep 1; echo ${index}`));
  expect(await runsUnderWay(node, 3)).toBe(true);
  const { text } = await node.request("GET", "/metrics");
  expect(text).toContain('docker_server_runs{state="running"} 3');
  expect(text).toMatch(/docker_server_runs\{state="waiting"\} [12]/);
  expect((await Promise.all(runs)).map(({ json }) => json.stdout)).toEqual(["0", "1", "2", "3", "4"]);
});

test("sandboxes are labelled and log nothing", async () => {
  const run = rawCode(node, "sleep 2; echo '{}'");
  expect(await runsUnderWay(node, 1)).toBe(true);
  const { HostConfig, Config } = await node.inspect(
    (await node.docker("ps", "--quiet", "--filter", `name=${RUN_CONTAINER_PREFIX}`)) as string,
  );
  expect(HostConfig).toMatchObject({ ReadonlyRootfs: true, Memory: 40_000_000, MemorySwap: 40_000_000, PidsLimit: 512, NanoCpus: 1e9 });
  expect([HostConfig.LogConfig.Type, HostConfig.NetworkMode, Number(Config.Labels["docker-server.expires"]) > 0]).toEqual([
    "none",
    "none",
    true,
  ]);
  expect((await run).text).toBe("{}");
});
