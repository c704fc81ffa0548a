import { setTimeout as sleep } from "node:timers/promises";
import { until } from "../../../scripts/process";
import type { Answer } from "../../support/server";
import { type OneNode, startNode } from "../../support/single-node";

const RECOVERY_TIMEOUT_MS = 20_000;
/** Every request must be answered within a second, or its test fails. */
const RESPONSE_DEADLINE_MS = 1000;
/** Exits on SIGTERM: a restarted engine stops the containers of its predecessor, and waits 10 s for a process that ignores the signal. */
const STOPPABLE = "trap 'exit 0' TERM; sleep 1000 & wait";

let node: OneNode;
beforeAll(async () => {
  node = await startNode({ name: "engine-faults", ownEngine: true });
  await node.docker("run", "-d", "--name", "box", "busybox", "sh", "-c", STOPPABLE);
});
afterAll(() => node?.stop());

const ROOT_REQUESTS: [string, string, unknown?][] = [
  ["GET", "/health"],
  ["HEAD", "/health"],
  ["GET", "/version"],
  ["GET", "/"],
  ["GET", "/box"],
  ["GET", "/box?follow=true"],
  ["PUT", "/", { image: "busybox", name: "late-foreground", data: "true" }],
  ["PUT", "/", { image: "busybox", name: "late-detached", detach: true, data: "sleep 1000" }],
  ["POST", "/box", { data: "touch /late" }],
  ["DELETE", "/box"],
  ["HEAD", "/10.99.0.254:1/busybox"],
];

function ask([method, pathname, json]: (typeof ROOT_REQUESTS)[number]): Promise<Answer> {
  return node.request(method, pathname, { ...(json === undefined ? {} : { json }), signal: AbortSignal.timeout(RESPONSE_DEADLINE_MS) });
}

/** @param allowCached whether responses from memory are still allowed, because the engine has just responded */
async function expectAllUnavailable(allowCached = false): Promise<void> {
  const answers = await Promise.all(ROOT_REQUESTS.map(async (request) => ({ request, answer: await ask(request) })));
  for (const { request, answer } of answers) {
    if (allowCached && answer.status === 200 && ["/", "/health"].includes(request[1]) && request[0] !== "PUT") continue;
    expect([request, answer.status]).toEqual([request, 503]);
    expect(answer.headers.get("x-error-code")).toBe("ENGINE_UNREACHABLE");
    expect(answer.headers.get("retry-after")).toBe("1");
    if (request[0] !== "HEAD") expect(answer.json).toMatchObject({ error: "unavailable", code: "ENGINE_UNREACHABLE" });
  }
}

async function expectRecovered(): Promise<void> {
  expect(await until(async () => (await node.request("GET", "/health")).status === 200, RECOVERY_TIMEOUT_MS)).toBe(true);
  expect(await until(async () => (await node.request("GET", "/")).status === 200, RECOVERY_TIMEOUT_MS)).toBe(true);
  const { json } = await node.request("PUT", "/", { json: { image: "busybox", data: "echo well", remove: true } });
  expect(json).toMatchObject({ exit_code: 0, stdout: "well\n" });
}

test("a dead engine is 503 within a second for every root route, and its return is noticed", async () => {
  await expectRecovered();
  await node.engine.kill();
  try {
    await expectAllUnavailable(true);
    expect(await until(async () => (await node.request("GET", "/health")).status === 503, RECOVERY_TIMEOUT_MS)).toBe(true);
    await expectAllUnavailable();
  } finally {
    await node.engine.restart();
  }
  await expectRecovered();
  await node.docker("start", "box");
  expect((await node.request("POST", "/box", { json: { data: "echo back" } })).json).toMatchObject({ stdout: "back\n" });
});

test("the container list follows events again after the engine's return", async () => {
  await node.docker("run", "-d", "--name", "after", "busybox", "sleep", "1000");
  const isListed = async () => (await node.request("GET", "/")).json.some((each: { name: string }) => each.name === "after");
  expect(await until(isListed, RECOVERY_TIMEOUT_MS)).toBe(true);
  await node.docker("rm", "-f", "after");
  expect(await until(async () => !(await isListed()), RECOVERY_TIMEOUT_MS)).toBe(true);
});

test("a frozen engine is 503 within a second for every root route, and nothing is done after the thaw", async () => {
  await expectRecovered();
  const before = await node.names();
  node.engine.freeze();
  try {
    expect(await until(async () => (await node.request("GET", "/health")).status === 503, RECOVERY_TIMEOUT_MS)).toBe(true);
    await expectAllUnavailable();
    await expectAllUnavailable();
  } finally {
    node.engine.thaw();
  }
  await expectRecovered();
  // Time for the engine to process what it was sent while frozen.
  await sleep(2000);
  expect(await node.names()).toEqual(before);
  expect((await node.inspect("box")).State.Running).toBe(true);
  expect((await node.engine.docker(["exec", "box", "test", "-e", "/late"])).code).toBe(1);
});

test("an engine that freezes right after a response is noticed within a second", async () => {
  await expectRecovered();
  const before = await node.names();
  expect((await node.request("GET", "/version")).status).toBe(200);
  node.engine.freeze();
  try {
    await expectAllUnavailable(true);
  } finally {
    node.engine.thaw();
  }
  await expectRecovered();
  await sleep(2000);
  // Requests that the engine received before it froze may be carried out: their clients got 503.
  expect((await node.names()).filter((name) => name !== "box")).toEqual(before.filter((name) => name !== "box"));
});

test("an engine that freezes during requests makes them 503, and leaves no unreported container", async () => {
  const stopAt = performance.now() + 1500;
  const answers = new Map<string, Answer | "lost">();
  const loops = Array.from({ length: 3 }, async (_, index) => {
    for (let turn = 0; performance.now() < stopAt; turn++) {
      const name = `busy-${index}-${turn}`;
      const json = { image: "busybox", name, detach: true, data: "sleep 1000" };
      answers.set(name, await node.request("PUT", "/", { json, signal: AbortSignal.timeout(10_000) }).catch(() => "lost" as const));
    }
  });
  await sleep(1000);
  node.engine.freeze();
  await Promise.all(loops);
  node.engine.thaw();
  await expectRecovered();
  for (const [name, answer] of answers)
    expect([name, answer === "lost" ? answer : [200, 503].includes(answer.status)]).toEqual([name, true]);
  const started = [...answers].flatMap(([name, answer]) => (answer !== "lost" && answer.status === 200 ? [name] : [])).sort();
  const remaining = async () => (await node.names()).filter((name) => name.startsWith("busy-")).join();
  expect(await until(async () => (await remaining()) === started.join(), RECOVERY_TIMEOUT_MS)).toBe(true);
  for (const name of started) await node.docker("rm", "--force", name);
});

test("a followed log that the engine's death ends is broken off, not completed", async () => {
  await node.docker("run", "-d", "--name", "cut", "busybox", "sh", "-c", `echo begun; ${STOPPABLE}`);
  const response = await fetch(`${node.server.url}/cut?follow=true`, { headers: { "X-Access-Token": "test-token-Zq7" } });
  const text = response.text().then(
    () => "whole",
    () => "broken",
  );
  await node.engine.kill();
  expect(await text).toBe("broken");
  await node.engine.restart();
  await expectRecovered();
});

test("the metrics report whether the engine is up", async () => {
  const reports = async (line: string) => (await node.request("GET", "/metrics")).text.includes(line);
  expect(await reports("docker_server_engine_up 1")).toBe(true);
  await node.engine.kill();
  // The server learns of it when the connection of the engine's events ends.
  expect(await until(() => reports("docker_server_engine_up 0"), RECOVERY_TIMEOUT_MS)).toBe(true);
  await node.engine.restart();
});
