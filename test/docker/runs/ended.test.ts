import http from "node:http";
import { RUN_CONTAINER_PREFIX } from "../../../lib/docker/create/policy";
import { until } from "../../../scripts/process";
import { tarGz64 } from "../../support/archives";
import { faketime } from "../../support/faketime";
import { comesBackTo, everythingOn, oneOff, runsUnderWay } from "../../support/runs";
import { startServer, TOKEN } from "../../support/server";
import { everythingLogged, type OneNode, startNode } from "../../support/single-node";

const WAIT_MS = 30_000;

let node: OneNode;
let before: string[];
beforeAll(async () => {
  node = await startNode({ name: "runs-ended", ownEngine: true, args: ["--run_max_time=60"] });
  before = await everythingOn(node);
});
afterAll(() => node?.stop());

const LIVE = { Accept: "application/x-ndjson" };

/** Starts a run and reads its output until `isDone` returns true; then disconnects. */
function readUntil(
  body: object,
  accept: string,
  isDone: (text: string) => boolean,
): Promise<{ text: string; headers: http.IncomingHttpHeaders }> {
  return new Promise((resolve, reject) => {
    const request = http.request(
      `${node.server.url}/run`,
      { method: "POST", headers: { Authorization: `Bearer ${TOKEN}`, "Content-Type": "application/json", Accept: accept } },
      (response) => {
        let text = "";
        const finish = (end: boolean) => {
          if (!end && !isDone(text)) return;
          request.destroy();
          resolve({ text, headers: response.headers });
        };
        response.on("data", (chunk) => {
          text += chunk;
          finish(false);
        });
        response.on("end", () => finish(true));
      },
    );
    request.on("error", reject);
    request.end(JSON.stringify({ image: "busybox", pull_policy: "never", ...body }));
  });
}

test("live output arrives as JSON lines, with the result last", async () => {
  const begun = await readUntil({ command: ["sh", "-c", "echo first; sleep 1000"] }, LIVE.Accept, (text) => text.includes("\n"));
  expect(begun.text).toBe('{"event":"stdout","data":"first\\n"}\n');
  expect(begun.headers).toMatchObject({ "x-accel-buffering": "no", "content-type": "application/x-ndjson; charset=utf-8" });
  const answer = await oneOff(node, { command: ["sh", "-c", "echo o; echo e >&2; exit 3"] }, { headers: LIVE });
  const events = answer.text
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));
  expect(events.filter(({ event }) => event !== "result")).toEqual(
    expect.arrayContaining([
      { event: "stdout", data: "o\n" },
      { event: "stderr", data: "e\n" },
    ]),
  );
  expect(events.at(-1)).toMatchObject({
    event: "result",
    status: "error: 3",
    exit_code: 3,
    stdout: "o\n",
    stderr: "e\n",
    host: expect.any(String),
  });
  expect(await comesBackTo(node, before)).toBe(true);
});

test("an event stream has event names, and early errors have their status", async () => {
  const headers = { Accept: "text/event-stream" };
  const { text } = await oneOff(node, { command: ["echo", "a"] }, { headers });
  expect(text).toMatch(/^event: stdout\ndata: \{"data":"a\\n"\}\n\nevent: result\ndata: \{"status":"success",.*\}\n\n$/);
  expect(await oneOff(node, { command: "no-such" }, { headers })).toMatchObject({ status: 400, json: { code: "INVALID_SPEC" } });
});

test("a disconnected client ends its run, streaming or not", async () => {
  await readUntil({ command: ["sh", "-c", "echo x; sleep 1000"] }, LIVE.Accept, (text) => text !== "");
  expect(await comesBackTo(node, before)).toBe(true);
  const leaves = new AbortController();
  const volumes = { "/d:ro": { type: "directory", content: await tarGz64({ f: "x" }) } };
  const answer = oneOff(node, { command: "sleep 1000", volumes }, { signal: leaves.signal }).catch(() => "left");
  expect(await runsUnderWay(node, 1)).toBe(true);
  leaves.abort();
  expect(await answer).toBe("left");
  expect(await comesBackTo(node, before)).toBe(true);
});

test("a client that doesn't read slows its run down, not the server", async () => {
  const paused = http.request(`${node.server.url}/run`, {
    method: "POST",
    headers: { Authorization: `Bearer ${TOKEN}`, "Content-Type": "application/json", ...LIVE },
  });
  paused.on("error", () => undefined);
  paused.on("response", (response) => response.pause());
  paused.end(JSON.stringify({ image: "busybox", pull_policy: "never", command: "yes" }));
  expect(await runsUnderWay(node, 1)).toBe(true);
  paused.destroy();
  expect(await comesBackTo(node, before)).toBe(true);
});

test("a run whose container is removed ends with its output", async () => {
  const volumes = { "/d": { type: "directory", content: await tarGz64({ f: "x" }), response: true } };
  const answer = oneOff(node, { command: ["sh", "-c", "echo begun; sleep 1000"], volumes });
  expect(await runsUnderWay(node, 1)).toBe(true);
  const listed = async () => (await node.request("GET", "/")).json;
  expect(await until(async () => (await listed()).length === 1, WAIT_MS)).toBe(true);
  expect((await node.request("DELETE", `/${(await listed())[0].name}`)).status).toBe(200);
  expect((await answer).json).toMatchObject({ status: "error: 137", volumes: { "/d": { content: null } } });
  expect(await comesBackTo(node, before)).toBe(true);
});

test("runs that end within the time of a stop are answered in full", async () => {
  const server = await startServer({ engine: node.engine });
  const answers = [oneOff(server, { command: "sleep 4" }), oneOff(server, { command: "sleep 4" }, { headers: LIVE })];
  expect(await runsUnderWay(node, 2)).toBe(true);
  await server.stop();
  const [plain, live] = await Promise.all(answers);
  expect(plain?.json).toMatchObject({ exit_code: 0 });
  expect(JSON.parse(live?.text.trim().split("\n").at(-1) ?? "")).toMatchObject({ event: "result", exit_code: 0 });
  expect(await everythingOn(node)).toEqual(before);
});

test("a stopping server ends its runs with an error and leaves nothing", async () => {
  const server = await startServer({ engine: node.engine, args: ["--stop_timeout=10"] });
  const volumes = { "/d:ro": { type: "directory", content: await tarGz64({ f: "x" }) } };
  const waiting = oneOff(server, { command: "sleep 1000", volumes });
  const live = oneOff(server, { command: "sleep 1000" }, { headers: LIVE });
  expect(await runsUnderWay(node, 2)).toBe(true);
  await server.stop();
  expect((await waiting).json).toMatchObject({ status: 503, code: "STOPPING" });
  expect(JSON.parse((await live).text)).toMatchObject({ event: "error", code: "STOPPING" });
  expect(await everythingOn(node)).toEqual(before);
});

test("a killed server's leftovers are removed after their expiry by the engine's clock", async () => {
  const killed = await startServer({ engine: node.engine, args: ["--run_max_time=1"] });
  const volumes = {
    "/d:ro": { type: "directory", content: await tarGz64({ f: "x" }) },
    "/e": { type: "directory", content: await tarGz64({ f: "x" }) },
  };
  const answer = oneOff(killed, { command: "sleep 1000", volumes }).catch(() => "none");
  expect(await runsUnderWay(node, 1)).toBe(true);
  await killed.stop("SIGKILL");
  expect(await answer).toBe("none");

  // A server whose clock is a day ahead removes nothing.
  const ahead = await startServer({ engine: node.engine, inside: faketime("+1d") });
  await until(async () => (await ahead.request("GET", "/health")).status === 200, WAIT_MS);
  expect(await runsUnderWay(node, 1)).toBe(true);
  await ahead.stop();

  // Expired resources, made with labels of the past: the real expiry would take too long.
  const [expired, future] = ["1000", "99999999999"];
  const createExpiring = (name: string, expires: string) =>
    node.docker("run", "-d", "--name", name, "--label", `docker-server.expires=${expires}`, "-v", "/anonymous", "busybox", "sleep", "1000");
  await createExpiring(`${RUN_CONTAINER_PREFIX}over`, expired as string);
  await createExpiring(`${RUN_CONTAINER_PREFIX}not-yet`, future as string);
  await createExpiring("of-somebody-else", expired as string);
  await node.docker("volume", "create", "--label", `docker-server.expires=${expired}`, `${RUN_CONTAINER_PREFIX}volume`);
  const next = await startServer({ engine: node.engine });
  const leftovers = async () => (await everythingOn(node)).filter((each) => !before.includes(each));
  expect(await until(async () => !(await leftovers()).some((each) => /over|job-volume/.test(each)), WAIT_MS)).toBe(true);
  expect(await leftovers()).toEqual(expect.arrayContaining([`container ${RUN_CONTAINER_PREFIX}not-yet`, "container of-somebody-else"]));
  expect(await runsUnderWay(node, 2)).toBe(true);
  await next.stop();
  const ids = (await node.docker("ps", "--all", "--quiet")).split("\n").filter(Boolean);
  await node.docker("rm", "--force", "--volumes", ...ids);
  const leftVolumes = (await node.docker("volume", "ls", "--quiet")).split("\n").filter(Boolean);
  if (leftVolumes.length > 0) await node.docker("volume", "rm", ...leftVolumes);
  expect(await comesBackTo(node, before)).toBe(true);
});

test("an engine that dies during a run is a 503, and nothing is left after its restart", async () => {
  const volumes = { "/d:ro": { type: "directory", content: await tarGz64({ f: "x" }) } };
  const answer = oneOff(node, { command: "sleep 1000", volumes });
  expect(await runsUnderWay(node, 1)).toBe(true);
  await node.engine.kill();
  expect((await answer).json).toMatchObject({ status: 503, code: "ENGINE_UNREACHABLE" });
  await node.engine.restart();
  expect(await until(async () => (await everythingOn(node)).join() === before.join(), WAIT_MS)).toBe(true);
  expect((await oneOff(node, { command: "echo again" })).json).toMatchObject({ stdout: "again\n" });
});

test("variables, stdin and contents are in no log", async () => {
  const secret = "s3cret-Kq9";
  const content = Buffer.from(secret).toString("base64");
  await oneOff(node, {
    command: ["sh", "-c", "cat"],
    env_vars: { S: secret },
    stdin: secret,
    volumes: { "/s": { type: "file", content } },
  });
  await oneOff(node, { command: "no-such", env_vars: { S: secret } });
  const logged = everythingLogged(node.server);
  expect(logged.includes(secret) || logged.includes(content)).toBe(false);
});
