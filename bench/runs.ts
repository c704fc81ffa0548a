import { setTimeout as sleep } from "node:timers/promises";
import { importRunner } from "../test/support/images";
import { startServer, type TestServer } from "../test/support/server";
import { type Bed, CREDENTIALS } from "./bed";
import { type Comparison, compareValues, median, type Side, timed } from "./compare";
import { demultiplex, HttpClient, upgraded, wholeBody } from "./http-client";

/** How many are begun at once, or clients there are. */
const TOGETHER = 8;
const SINGLES = 8;
const BURSTS = 5;
/** Of clients that don't rest: how often, and how many runs each does then. */
const SPELLS = 2;
const RUNS = 3;
const IMAGE = "code-runner";
const PAYLOAD = { script: Buffer.from("echo hello").toString("base64") };
const RESULT = '{"stdout":"hello","stderr":"","error":""}';
const SPEAK = ["echo", "hello"];
/** Between rounds (ms): runs come from people, who need a moment. */
const REST = 1500;

/** Code runs, warm and cold, and one-offs, against `docker run` and the Engine API: one at a time, eight at once, and eight clients that never rest. */
export async function benchRuns(bed: Bed): Promise<Comparison[]> {
  await importRunner(bed.engine);
  const common = ["--run_memory=100000000", "--run_concurrency=16"];
  const warm = await startServer({ engine: bed.engine, args: [...common, "--run_pool_memory=1600000000"] });
  const cold = await startServer({ engine: bed.engine, args: [...common, "--run_pool_memory=0"] });
  try {
    const kinds: Kind[] = [
      {
        what: "code run warm",
        sides: codeSides(bed, warm),
        targets: { one: { against: "cli", ratio: 0.1 }, late: { against: "cli", ratio: 1 } },
      },
      { what: "code run cold", sides: codeSides(bed, cold), targets: {} },
      { what: "one-off", sides: oneOffSides(bed, cold), targets: { one: { against: "raw", ratio: 1.1 } } },
    ];
    const comparisons: Comparison[] = [];
    for (const kind of kinds) comparisons.push(...(await bursts(kind, 1)), ...(await bursts(kind, TOGETHER)), ...(await endless(kind)));
    return comparisons;
  } finally {
    await Promise.all([warm.stop(), cold.stop()]);
  }
}

/** A kind of run: each side does one of it. */
interface Kind {
  what: string;
  sides: Record<Side, () => Promise<unknown>>;
  targets: { one?: Target; late?: Target };
}

type Target = NonNullable<Comparison["target"]>;

function codeSides(bed: Bed, server: TestServer): Kind["sides"] {
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

function oneOffSides(bed: Bed, server: TestServer): Kind["sides"] {
  const client = new HttpClient({ host: "127.0.0.1", port: server.port }, CREDENTIALS);
  const body = { image: "busybox", command: SPEAK, pull_policy: "never" };
  return {
    ours: async () => expectText(String((await client.askJson("POST", "/run", body)).stdout), "hello\n"),
    raw: () => rawRun(bed, { Image: "busybox", Cmd: SPEAK }, undefined, "hello\n"),
    cli: async () => expectText(await bed.cli(["run", "--rm", "busybox", ...SPEAK]), "hello\n"),
  };
}

/** Runs begun at once, with a rest before: the time of one, and of the last ones. */
async function bursts({ what, sides, targets }: Kind, at: number): Promise<Comparison[]> {
  const all: Record<Side, number[]> = { ours: [], raw: [], cli: [] };
  const medians = await compareValues(`${what}, ${at} at once`, at === 1 ? SINGLES : BURSTS, async (side) => {
    await sleep(REST);
    const times = await Promise.all(Array.from({ length: at }, () => timed({ work: sides[side] })));
    all[side].push(...times);
    return median(times);
  });
  if (at === 1) return [{ what: `${what}, one at a time`, unit: "ms", medians, target: targets.one }];
  return [
    { what: `${what}, ${at} at once`, unit: "ms", medians },
    { what: `${what}, ${at} at once, p99`, unit: "ms", medians: eachSide((side) => late(all[side])), target: targets.late },
  ];
}

/** Clients that each begin the next run when one is over: runs a second, and the time of the last ones. */
async function endless({ what, sides, targets }: Kind): Promise<Comparison[]> {
  const all: Record<Side, number[]> = { ours: [], raw: [], cli: [] };
  const medians = await compareValues(`${what}, ${TOGETHER} clients`, SPELLS, async (side) => {
    await sleep(REST);
    const start = performance.now();
    const client = async () => {
      for (let run = 0; run < RUNS; run += 1) all[side].push(await timed({ work: sides[side] }));
    };
    await Promise.all(Array.from({ length: TOGETHER }, client));
    return (TOGETHER * RUNS * 1000) / (performance.now() - start);
  });
  return [
    { what: `${what}, ${TOGETHER} clients`, unit: "requests/s", medians },
    { what: `${what}, ${TOGETHER} clients, p99`, unit: "ms", medians: eachSide((side) => late(all[side])), target: targets.late },
  ];
}

const eachSide = (value: (side: Side) => number): Record<Side, number> => ({ ours: value("ours"), raw: value("raw"), cli: value("cli") });

/** What 99 of 100 stay below. */
function late(times: number[]): number {
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
