import { setTimeout as sleep } from "node:timers/promises";
import { importRunner } from "../test/support/images";
import { startServer, type TestServer } from "../test/support/server";
import { type Bed, CREDENTIALS } from "./bed";
import { type Comparison, compareValues, median, type Side, timed } from "./compare";
import { demultiplex, HttpClient, upgraded, wholeBody } from "./http-client";

/** Runs started at once, and clients of the closed loop. */
const CONCURRENT_RUNS = 8;
const SINGLE_ROUNDS = 8;
const BURST_ROUNDS = 5;
/** Closed loop: rounds, and runs of each client in a round. */
const CLOSED_LOOP_ROUNDS = 2;
const RUNS_PER_CLIENT = 3;
const IMAGE = "code-runner";
const PAYLOAD = { script: Buffer.from("echo hello").toString("base64") };
const RESULT = '{"stdout":"hello","stderr":"","error":""}';
const ECHO_COMMAND = ["echo", "hello"];
/** Pause between rounds, so that the pool of warm containers can refill as between requests of people. */
const PAUSE_MS = 1500;

/** Code runs (warm and cold) and one-offs, compared with `docker run` and the Engine API: one at a time, eight at once, and eight clients in a closed loop. */
export async function benchRuns(bed: Bed): Promise<Comparison[]> {
  await importRunner(bed.engine);
  const common = ["--run_memory=100000000", "--run_concurrency=16"];
  const warm = await startServer({ engine: bed.engine, args: [...common, "--run_pool_memory=1600000000"] });
  const cold = await startServer({ engine: bed.engine, args: [...common, "--run_pool_memory=0"] });
  try {
    const kinds: RunKind[] = [
      {
        title: "code run warm",
        sides: codeSides(bed, warm),
        targets: { single: { against: "cli", ratio: 0.1 }, p99: { against: "cli", ratio: 1 } },
      },
      { title: "code run cold", sides: codeSides(bed, cold), targets: {} },
      { title: "one-off", sides: oneOffSides(bed, cold), targets: { single: { against: "raw", ratio: 1.1 } } },
    ];
    const comparisons: Comparison[] = [];
    for (const kind of kinds)
      comparisons.push(...(await benchBurst(kind, 1)), ...(await benchBurst(kind, CONCURRENT_RUNS)), ...(await benchClosedLoop(kind)));
    return comparisons;
  } finally {
    await Promise.all([warm.stop(), cold.stop()]);
  }
}

/** A kind of run and how each side does it. */
interface RunKind {
  title: string;
  sides: Record<Side, () => Promise<unknown>>;
  targets: { single?: Target; p99?: Target };
}

type Target = NonNullable<Comparison["target"]>;

function codeSides(bed: Bed, server: TestServer): RunKind["sides"] {
  const client = new HttpClient({ host: "127.0.0.1", port: server.port }, CREDENTIALS);
  return {
    ours: async () => expectText((await client.ask("POST", "/run", { image: IMAGE, payload: PAYLOAD })).toString(), RESULT),
    raw: () => rawRun(bed, { Image: IMAGE, OpenStdin: true, StdinOnce: true }, JSON.stringify(PAYLOAD), RESULT),
    cli: async () => {
      const { stdout, stderr } = await bed.engine.docker(["run", "--rm", "--interactive", IMAGE], JSON.stringify(PAYLOAD));
      expectText(stdout, RESULT, stderr);
    },
  };
}

function oneOffSides(bed: Bed, server: TestServer): RunKind["sides"] {
  const client = new HttpClient({ host: "127.0.0.1", port: server.port }, CREDENTIALS);
  const body = { image: "busybox", command: ECHO_COMMAND, pull_policy: "never" };
  return {
    ours: async () => expectText(String((await client.askJson("POST", "/run", body)).stdout), "hello\n"),
    raw: () => rawRun(bed, { Image: "busybox", Cmd: ECHO_COMMAND }, undefined, "hello\n"),
    cli: async () => expectText(await bed.cli(["run", "--rm", "busybox", ...ECHO_COMMAND]), "hello\n"),
  };
}

/** Starts runs at once after a pause: median and 99th percentile of their times. */
async function benchBurst({ title, sides, targets }: RunKind, at: number): Promise<Comparison[]> {
  const all: Record<Side, number[]> = { ours: [], raw: [], cli: [] };
  const medians = await compareValues(`${title}, ${at} at once`, at === 1 ? SINGLE_ROUNDS : BURST_ROUNDS, async (side) => {
    await sleep(PAUSE_MS);
    const times = await Promise.all(Array.from({ length: at }, () => timed({ work: sides[side] })));
    all[side].push(...times);
    return median(times);
  });
  if (at === 1) return [{ title: `${title}, one at a time`, unit: "ms", medians, target: targets.single }];
  return [
    { title: `${title}, ${at} at once`, unit: "ms", medians },
    { title: `${title}, ${at} at once, p99`, unit: "ms", medians: forEachSide((side) => percentile99(all[side])), target: targets.p99 },
  ];
}

/** Closed loop: each client starts its next run when one has ended. Runs per second and 99th percentile. */
async function benchClosedLoop({ title, sides, targets }: RunKind): Promise<Comparison[]> {
  const all: Record<Side, number[]> = { ours: [], raw: [], cli: [] };
  const medians = await compareValues(`${title}, ${CONCURRENT_RUNS} clients`, CLOSED_LOOP_ROUNDS, async (side) => {
    await sleep(PAUSE_MS);
    const start = performance.now();
    const client = async () => {
      for (let run = 0; run < RUNS_PER_CLIENT; run += 1) all[side].push(await timed({ work: sides[side] }));
    };
    await Promise.all(Array.from({ length: CONCURRENT_RUNS }, client));
    return (CONCURRENT_RUNS * RUNS_PER_CLIENT * 1000) / (performance.now() - start);
  });
  return [
    { title: `${title}, ${CONCURRENT_RUNS} clients`, unit: "requests/s", medians },
    {
      title: `${title}, ${CONCURRENT_RUNS} clients, p99`,
      unit: "ms",
      medians: forEachSide((side) => percentile99(all[side])),
      target: targets.p99,
    },
  ];
}

const forEachSide = (value: (side: Side) => number): Record<Side, number> => ({
  ours: value("ours"),
  raw: value("raw"),
  cli: value("cli"),
});

/** The 99th percentile. */
function percentile99(times: number[]): number {
  const sorted = [...times].sort((a, b) => a - b);
  return sorted[Math.ceil(sorted.length * 0.99) - 1] as number;
}

async function rawRun({ raw, engine }: Bed, options: object, input: string | undefined, expected: string): Promise<void> {
  const { Id } = await raw.askJson("POST", "/containers/create", options);
  const attached = await upgraded(
    engine.socket,
    `/containers/${Id}/attach?stream=1&stdin=${input === undefined ? 0 : 1}&stdout=1&stderr=1`,
  );
  const waiting = await raw.open("POST", `/containers/${Id}/wait?condition=next-exit`);
  await raw.ask("POST", `/containers/${Id}/start`);
  if (input !== undefined) attached.end(input);
  expectText(demultiplex(await wholeBody(attached)).stdout, expected);
  await wholeBody(waiting);
  await raw.ask("DELETE", `/containers/${Id}?force=1&v=1`);
}

function expectText(text: string, expected: string, more = ""): void {
  if (text !== expected) throw new Error(`a run answered ${JSON.stringify(text)} ${more}`);
}
