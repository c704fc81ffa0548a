import http from "node:http";
import type { Duplex } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import { importRunner } from "../test/support/images";
import { startServer, type TestServer } from "../test/support/server";
import { type Bed, CREDENTIALS } from "./bed";
import { type Comparison, compareValues, type Side } from "./compare";
import { demultiplex, HttpClient, wholeBody } from "./http-client";

const ROUNDS = 8;
const IMAGE = "code-runner";
const PAYLOAD = { script: Buffer.from("echo hello").toString("base64") };
const RESULT = '{"stdout":"hello","stderr":"","error":""}';
const SPEAK = ["echo", "hello"];
/** Between rounds (ms): runs come from people, who need a moment. */
const REST = 1500;

/** Code runs, warm and cold, and one-offs, one and eight at a time, against `docker run` and the Engine API: ms of one run. */
export async function benchRuns(bed: Bed): Promise<Comparison[]> {
  await importRunner(bed.engine);
  const common = ["--run_memory=100000000"];
  const warm = await startServer({ engine: bed.engine, args: [...common, "--run_pool_memory=1600000000", "--run_concurrency=16"] });
  const cold = await startServer({ engine: bed.engine, args: [...common, "--run_pool_memory=0", "--run_concurrency=16"] });
  try {
    const comparisons: Comparison[] = [];
    for (const at of [1, 8]) {
      comparisons.push(await codeRun(bed, warm, "warm", at), await codeRun(bed, cold, "cold", at), await oneOff(bed, cold, at));
    }
    return comparisons;
  } finally {
    await Promise.all([warm.stop(), cold.stop()]);
  }
}

function codeRun(bed: Bed, server: TestServer, what: "warm" | "cold", at: number): Promise<Comparison> {
  const client = new HttpClient({ host: "127.0.0.1", port: server.port }, CREDENTIALS);
  const target = what === "warm" && at === 1 ? { against: "cli" as const, ratio: 0.1 } : undefined;
  return compared(
    `code run ${what}, ${at} at a time`,
    at,
    {
      ours: async () => expectText((await client.ask("POST", "/run", { image: IMAGE, payload: PAYLOAD })).toString(), RESULT),
      raw: () => rawRun(bed, { Image: IMAGE, OpenStdin: true, StdinOnce: true }, JSON.stringify(PAYLOAD), RESULT),
      cli: async () => {
        const { stdout, stderr } = await bed.engine.docker(["run", "--rm", "--interactive", IMAGE], JSON.stringify(PAYLOAD));
        expectText(stdout, RESULT, stderr);
      },
    },
    target,
  );
}

function oneOff(bed: Bed, server: TestServer, at: number): Promise<Comparison> {
  const client = new HttpClient({ host: "127.0.0.1", port: server.port }, CREDENTIALS);
  const body = { image: "busybox", command: SPEAK, pull_policy: "never" };
  return compared(
    `one-off, ${at} at a time`,
    at,
    {
      ours: async () => expectText(String((await client.askJson("POST", "/run", body)).stdout), "hello\n"),
      raw: () => rawRun(bed, { Image: "busybox", Cmd: SPEAK }, undefined, "hello\n"),
      cli: async () => expectText(await bed.cli(["run", "--rm", "busybox", ...SPEAK]), "hello\n"),
    },
    at === 1 ? { against: "raw", ratio: 1.1 } : undefined,
  );
}

/** The time of `at` runs at once, for each; all sides in turns, with a rest before each. */
async function compared(
  what: string,
  at: number,
  sides: Record<Side, () => Promise<unknown>>,
  target: Comparison["target"],
): Promise<Comparison> {
  const medians = await compareValues(what, ROUNDS, async (side) => {
    await sleep(REST);
    const times = await Promise.all(
      Array.from({ length: at }, async () => {
        const start = performance.now();
        await sides[side]();
        return performance.now() - start;
      }),
    );
    return times.reduce((sum, time) => sum + time, 0) / at;
  });
  return { what, unit: "ms", medians, target };
}

async function rawRun({ raw, engine }: Bed, options: object, input: string | undefined, expected: string): Promise<void> {
  const { Id } = await raw.askJson("POST", "/containers/create", options);
  const attached = await attach(engine.socket, `/containers/${Id}/attach?stream=1&stdin=${input === undefined ? 0 : 1}&stdout=1&stderr=1`);
  const waiting = await raw.open("POST", `/containers/${Id}/wait?condition=next-exit`);
  await raw.ask("POST", `/containers/${Id}/start`);
  if (input !== undefined) attached.end(input);
  expectText(demultiplex(await wholeBody(attached)).stdout, expected);
  await wholeBody(waiting);
  await raw.ask("DELETE", `/containers/${Id}?force=1&v=1`);
}

function attach(socketPath: string, path: string): Promise<Duplex> {
  return new Promise((resolve, reject) => {
    const request = http.request({ socketPath, method: "POST", path, headers: { Connection: "Upgrade", Upgrade: "tcp" } });
    request.on("upgrade", (_response, socket) => resolve(socket));
    request.on("response", ({ statusCode }) => reject(new Error(`attach: ${statusCode}`)));
    request.on("error", reject);
    request.end();
  });
}

function expectText(text: string, expected: string, more = ""): void {
  if (text !== expected) throw new Error(`a run answered ${JSON.stringify(text)} ${more}`);
}
