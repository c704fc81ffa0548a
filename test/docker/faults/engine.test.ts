import { setTimeout as sleep } from "node:timers/promises";
import { until } from "../../../scripts/process";
import { type OneNode, startNode } from "../../support/one-node";
import type { Answer } from "../../support/server";

const PATIENCE = 20_000;
/** Every answer must come within a second, or the request is given up and its test fails. */
const DEADLINE = 1000;
/** An engine that starts stops what its predecessor left, and waits 10 s for a process that doesn't heed it. */
const STOPPABLE = "trap 'exit 0' TERM; sleep 1000 & wait";

let node: OneNode;
beforeAll(async () => {
  node = await startNode({ name: "engine-faults", ownEngine: true });
  await node.docker("run", "-d", "--name", "box", "busybox", "sh", "-c", STOPPABLE);
});
afterAll(() => node?.stop());

const VERBS: [string, string, unknown?][] = [
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

function ask([method, pathname, json]: (typeof VERBS)[number]): Promise<Answer> {
  return node.request(method, pathname, { ...(json === undefined ? {} : { json }), signal: AbortSignal.timeout(DEADLINE) });
}

/** @param remembered whether what is read from memory may still be answered: an engine was there a moment ago */
async function expectAllUnavailable(remembered = false): Promise<void> {
  const answers = await Promise.all(VERBS.map(async (verb) => ({ verb, answer: await ask(verb) })));
  for (const { verb, answer } of answers) {
    if (remembered && answer.status === 200 && ["/", "/health"].includes(verb[1]) && verb[0] !== "PUT") continue;
    expect([verb, answer.status]).toEqual([verb, 503]);
    expect(answer.headers.get("x-error-code")).toBe("ENGINE_UNREACHABLE");
    expect(answer.headers.get("retry-after")).toBe("1");
    if (verb[0] !== "HEAD") expect(answer.json).toMatchObject({ error: "unavailable", code: "ENGINE_UNREACHABLE" });
  }
}

async function expectAllWell(): Promise<void> {
  expect(await until(async () => (await node.request("GET", "/health")).status === 200, PATIENCE)).toBe(true);
  expect(await until(async () => (await node.request("GET", "/")).status === 200, PATIENCE)).toBe(true);
  const { json } = await node.request("PUT", "/", { json: { image: "busybox", data: "echo well", remove: true } });
  expect(json).toMatchObject({ exit_code: 0, stdout: "well\n" });
}

test("a dead engine is 503 within a second for every root route, and its return is noticed", async () => {
  await expectAllWell();
  await node.engine.kill();
  await expectAllUnavailable();
  await expectAllUnavailable();
  await node.engine.restart();
  await expectAllWell();
  await node.docker("start", "box");
  expect((await node.request("POST", "/box", { json: { data: "echo back" } })).json).toMatchObject({ stdout: "back\n" });
});

test("the container list follows events again after the engine's return", async () => {
  await node.docker("run", "-d", "--name", "after", "busybox", "sleep", "1000");
  const shown = async () => (await node.request("GET", "/")).json.some((each: { name: string }) => each.name === "after");
  expect(await until(shown, PATIENCE)).toBe(true);
  await node.docker("rm", "-f", "after");
  expect(await until(async () => !(await shown()), PATIENCE)).toBe(true);
});

test("a frozen engine is 503 within a second for every root route, and nothing is done after the thaw", async () => {
  await expectAllWell();
  const before = await node.names();
  node.engine.freeze();
  try {
    expect(await until(async () => (await node.request("GET", "/health")).status === 503, PATIENCE)).toBe(true);
    await expectAllUnavailable();
    await expectAllUnavailable();
  } finally {
    node.engine.thaw();
  }
  await expectAllWell();
  // As long as it takes an engine to work off what it may have been sent.
  await sleep(2000);
  expect(await node.names()).toEqual(before);
  expect((await node.inspect("box")).State.Running).toBe(true);
  expect((await node.engine.docker(["exec", "box", "test", "-e", "/late"])).code).toBe(1);
});

test("an engine that freezes right after a response is noticed within a second", async () => {
  await expectAllWell();
  const before = await node.names();
  expect((await node.request("GET", "/version")).status).toBe(200);
  node.engine.freeze();
  try {
    await expectAllUnavailable(true);
  } finally {
    node.engine.thaw();
  }
  await expectAllWell();
  await sleep(2000);
  // What had been asked of the engine itself when it froze may be done: it was told that nobody knows.
  expect((await node.names()).filter((name) => name !== "box")).toEqual(before.filter((name) => name !== "box"));
}, 90_000);

test("an engine that freezes during requests makes them 503, and leaves no unreported container", async () => {
  const stopAt = performance.now() + 1500;
  const answered = new Map<string, Answer | "lost">();
  const loops = Array.from({ length: 3 }, async (_, index) => {
    for (let turn = 0; performance.now() < stopAt; turn++) {
      const name = `busy-${index}-${turn}`;
      const json = { image: "busybox", name, detach: true, data: "sleep 1000" };
      answered.set(name, await node.request("PUT", "/", { json, signal: AbortSignal.timeout(10_000) }).catch(() => "lost" as const));
    }
  });
  await sleep(1000);
  node.engine.freeze();
  await Promise.all(loops);
  node.engine.thaw();
  await expectAllWell();
  for (const [name, answer] of answered)
    expect([name, answer === "lost" ? answer : [200, 503].includes(answer.status)]).toEqual([name, true]);
  const started = [...answered].flatMap(([name, answer]) => (answer !== "lost" && answer.status === 200 ? [name] : [])).sort();
  const left = async () => (await node.names()).filter((name) => name.startsWith("busy-")).join();
  expect(await until(async () => (await left()) === started.join(), PATIENCE)).toBe(true);
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
  await expectAllWell();
});

test("the metrics report whether the engine is up", async () => {
  expect((await node.request("GET", "/metrics")).text).toContain("docker_server_engine_up 1");
  await node.engine.kill();
  expect((await node.request("GET", "/metrics")).text).toContain("docker_server_engine_up 0");
  await node.engine.restart();
});
