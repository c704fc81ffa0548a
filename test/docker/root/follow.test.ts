import { once } from "node:events";
import http, { type IncomingMessage } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { until } from "../../../scripts/process";
import { TOKEN } from "../../support/server";
import { auditEntries, type OneNode, openEngineConnections, residentMemory, startNode } from "../../support/single-node";

const PATIENCE = 20_000;
/** The output of the big container: 220 MB. */
const LINES = 14_700;
const LINE_LENGTH = 15_000;

let node: OneNode;
beforeAll(async () => {
  node = await startNode({ name: "follow" });
});
afterAll(() => node?.stop());

/** Resolves with the response when its headers have arrived. */
function open(pathname: string, headers: Record<string, string> = {}): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const options = { agent: false, headers: { Authorization: `Bearer ${TOKEN}`, ...headers } };
    http.get(`${node.server.url}${pathname}`, options, resolve).on("error", reject);
  });
}

async function whole(answer: IncomingMessage): Promise<string> {
  const parts: Buffer[] = [];
  for await (const part of answer) parts.push(part as Buffer);
  return Buffer.concat(parts).toString();
}

test("a followed log arrives line by line while the container runs, and ends with it", async () => {
  await node.docker(
    "run",
    "-d",
    "--name",
    "talking",
    "busybox",
    "sh",
    "-c",
    "echo one; until [ -e /go ]; do sleep 0.1; done; echo two; exit 4",
  );
  const answer = await open("/talking?follow=true");
  expect(answer.headers["content-type"]).toBe("text/plain; charset=utf-8");
  let got = "";
  answer.on("data", (part) => {
    got += part;
  });
  expect(await until(() => got === "one\n", PATIENCE)).toBe(true);
  // The log may end before the command that ends the container.
  await node.engine.docker(["exec", "talking", "touch", "/go"]);
  expect(await until(() => answer.complete, PATIENCE)).toBe(true);
  expect(got).toBe("one\ntwo\n");
});

test("a container that ends at once is always followed to its end", async () => {
  for (let turn = 0; turn < 8; turn++) {
    const { json } = await node.request("PUT", "/", { json: { image: "busybox", detach: true, data: `echo turn ${turn}` } });
    expect(await whole(await open(`/${json.id}?follow=true`))).toBe(`turn ${turn}\n`);
  }
});

test("following an ended container returns its log and ends", async () => {
  await node.docker("run", "--name", "over", "busybox", "seq", "3");
  expect(await whole(await open("/over?follow=1&tail=2"))).toBe("2\n3\n");
});

test("a terminal's log can be followed", async () => {
  await node.docker("run", "-d", "-t", "--name", "terminal", "busybox", "sh", "-c", "echo one; sleep 1; echo two");
  expect(await whole(await open("/terminal?follow=true"))).toBe("one\r\ntwo\r\n");
});

test("a client's disconnect closes the engine connection, also of a silent container, and logs no error", async () => {
  await node.docker("run", "-d", "--name", "endless", "busybox", "sh", "-c", "echo once; sleep 1000");
  await node.request("GET", "/endless");
  const before = openEngineConnections(node.engine);
  const answers = await Promise.all(Array.from({ length: 10 }, () => open("/endless?follow=true")));
  for (const answer of answers) answer.resume();
  expect(openEngineConnections(node.engine)).toBeGreaterThanOrEqual(10);
  for (const answer of answers) answer.destroy();
  expect(await until(() => openEngineConnections(node.engine) <= before, PATIENCE)).toBe(true);
  const entries = () => auditEntries(node.server).filter((entry) => entry.path === "/endless" && entry.aborted);
  expect(await until(() => entries().length === 10, PATIENCE)).toBe(true);
  for (const entry of entries()) expect(entry).not.toHaveProperty("error");
  expect(node.server.output()).not.toMatch(/ ERROR /);
  await node.docker("rm", "-f", "endless");
});

test("removing a followed container ends the response", async () => {
  await node.docker("run", "-d", "--name", "removed", "busybox", "sh", "-c", "echo here; sleep 1000");
  const answer = await open("/removed?follow=true");
  let got = "";
  answer.on("data", (part) => {
    got += part;
  });
  const ended = once(answer, "end");
  // A busy machine may not have run the command yet.
  expect(await until(() => got === "here\n", PATIENCE)).toBe(true);
  await node.request("DELETE", "/removed");
  await ended;
  expect(got).toBe("here\n");
});

describe("with a log of 220 MB", () => {
  /** Bound of resident memory in MB. A JSON response of 16 MB briefly exists as bytes and as text. */
  const LIMIT_TEXT = 200;
  const LIMIT_JSON = 300;
  let peak = 0;
  let sampler: NodeJS.Timeout;

  beforeAll(async () => {
    const line = "x".repeat(LINE_LENGTH - 1);
    await node.docker("run", "--name", "big", "busybox", "sh", "-c", `yes ${line} | head -n ${LINES} >&2; echo end >&2`);
  });
  beforeEach(() => {
    peak = 0;
    sampler = setInterval(() => {
      peak = Math.max(peak, residentMemory(node.server.process.pid));
    }, 20);
  });
  afterEach(() => clearInterval(sampler));

  test("a slow reader receives all of it and the server's memory stays bounded", async () => {
    const answer = await open("/big", { Accept: "text/plain" });
    let received = 0;
    for await (const part of answer) {
      // During each of 30 pauses the server would buffer without a bound.
      if (Math.floor(received / 7_000_000) !== Math.floor((received + part.length) / 7_000_000)) await sleep(100);
      received += part.length;
    }
    expect(received).toBe(LINES * LINE_LENGTH + 4);
    expect(peak).toBeLessThan(LIMIT_TEXT);
  });

  test("as JSON only its end is returned, marked as truncated, and memory stays bounded", async () => {
    const { json } = await node.request("GET", "/big");
    expect(json.truncated).toBe(true);
    expect(Buffer.byteLength(json.stderr)).toBe(16_000_000);
    expect(json.stderr.endsWith("x\nend\n")).toBe(true);
    expect(peak).toBeLessThan(LIMIT_JSON);
  });

  test("a client's disconnect stops the reading", async () => {
    const before = openEngineConnections(node.engine);
    const answer = await open("/big", { Accept: "text/plain" });
    await new Promise((resolve) => answer.once("data", resolve));
    answer.destroy();
    expect(await until(() => openEngineConnections(node.engine) <= before, PATIENCE)).toBe(true);
  });
});
