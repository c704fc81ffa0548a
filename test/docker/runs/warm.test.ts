import { until } from "../../../scripts/process";
import { importRunner } from "../../support/images";
import { code, comesBackTo, everythingOn, rawCode, runsUnderWay } from "../../support/runs";
import { ask, type TestServer } from "../../support/server";
import { type OneNode, startNode } from "../../support/single-node";
import { becomesWarm, runningOn, warmCount, withServerOn } from "../../support/warm-pool";

const WAIT_MS = 30_000;
const LIMITS = ["--run_memory=40000000"];

let node: OneNode;
let before: string[];
beforeAll(async () => {
  // Each test starts its own server on this engine.
  node = await startNode({ name: "runs-warm", args: ["--run_pool_memory=0"] });
  await importRunner(node.engine);
  before = await everythingOn(node);
});
afterAll(() => node?.stop());

const withServer = (args: string[], work: (server: TestServer) => Promise<void>) => withServerOn(node, before, [...LIMITS, ...args], work);
const running = () => runningOn(node);

const containsAll = async (ids: string[]) => {
  const now = await running();
  return ids.every((id) => now.includes(id));
};

test("the next run gets a waiting sandbox without traces of the previous run", async () => {
  await withServer([], async (server) => {
    const users = new Set<string>();
    for (let run = 0; run < 3; run += 1) {
      if (run > 0) expect(await becomesWarm(server)).toBe(true);
      const waiting = await running();
      const script =
        "ls /tmp; cat /tmp/left; id -u; echo secret > /tmp/left; ps -o comm | grep -c '^sleep'; (sleep 77 >/dev/null 2>&1 &); echo ok";
      const { json, headers } = await rawCode(server, `out=$( { ${script}; } 2>&1 | tr '\\n' ' '); printf '{"out":"%s"}' "$out"`);
      expect(json.out).toMatch(/^cat: can't open '\/tmp\/left': No such file or directory \d+ 0 ok $/);
      expect(headers.get("X-Run-Sandbox")).toMatch(run > 0 ? /^warm;time=30;.*memory=40000000;.*network=\?0$/ : /^cold;/);
      users.add(json.out.split(" ").at(-4));
      // The waiting sandbox has been used.
      if (run > 0) expect(await until(async () => !(await containsAll(waiting)), WAIT_MS)).toBe(true);
    }
    expect(users.size).toBe(3);
  });
});

test("only used images are kept warm, within the pool's memory", async () => {
  await withServer(["--run_pool_memory=80000000"], async (server) => {
    expect(await warmCount(server)).toBe(0);
    await Promise.all(Array.from({ length: 5 }, () => code(server, "sleep 1")));
    expect(await becomesWarm(server, 2)).toBe(true);
    expect(await runsUnderWay(node, 2)).toBe(true);
  });
  await withServer(["--run_pool_memory=0"], async (server) => {
    await code(server, "true");
    expect(await comesBackTo(node, before)).toBe(true);
    expect(await warmCount(server)).toBe(0);
  });
});

test.each(["/images/code-runner", "/v1.41/images/code-runner"])("waiting sandboxes do not keep an image from DELETE %s", async (path) => {
  await withServer([], async (server) => {
    await code(server, "true");
    expect(await becomesWarm(server)).toBe(true);
    expect(await ask(server.url, "DELETE", path)).toMatchObject({ status: 200 });
    expect(await warmCount(server)).toBe(0);
    await importRunner(node.engine);
  });
});

test("the time limit starts with the payload", async () => {
  await withServer(["--run_max_time=3"], async (server) => {
    await code(server, "true");
    expect(await becomesWarm(server)).toBe(true);
    await new Promise((resolve) => setTimeout(resolve, 4000));
    expect((await code(server, "sleep 1; echo in time")).json.stdout).toBe("in time");
    expect(await becomesWarm(server)).toBe(true);
    expect((await rawCode(server, "sleep 1000")).json.code).toBe("limits.execution_time");
  });
});

test("a waiting sandbox that died doesn't affect runs", async () => {
  await withServer([], async (server) => {
    for (const end of ["kill", "rm --force", "kill"]) {
      await code(server, "true");
      expect(await becomesWarm(server)).toBe(true);
      await node.docker(...end.split(" "), ...(await running()));
      expect(await code(server, "echo fine")).toMatchObject({ status: 200, json: { stdout: "fine" } });
    }
  });
});
