import { randomUUID } from "node:crypto";
import type { Bed } from "./bed";
import { type Comparison, compareTimes, type Task } from "./compare";
import { demultiplex, wholeBody } from "./http-client";

const ROUNDS = 18;
const IMAGE = "busybox";
const SLEEP_COMMAND = ["sleep", "600"];
const PRINT_AND_FAIL = ["sh", "-c", "echo out; echo err >&2; exit 3"];

/** Runs a container detached, and in the foreground with its output and exit code. */
export async function benchRun(bed: Bed): Promise<Comparison[]> {
  return [await detached(bed), await foreground(bed)];
}

function detached(bed: Bed): Promise<Comparison> {
  return compareTimes(
    "run detached",
    ROUNDS,
    {
      ours: withFreshName(bed, async (name) => {
        await bed.ours.ask("PUT", "/", { image: IMAGE, name, detach: true, data: SLEEP_COMMAND });
      }),
      raw: withFreshName(bed, async (name) => {
        const { Id } = await bed.raw.askJson("POST", `/containers/create?name=${name}`, { Image: IMAGE, Cmd: SLEEP_COMMAND });
        await bed.raw.ask("POST", `/containers/${Id}/start`);
      }),
      cli: withFreshName(bed, async (name) => {
        await bed.cli(["run", "--detach", "--name", name, IMAGE, ...SLEEP_COMMAND]);
      }),
    },
    { against: "cli", ratio: 1.1 },
  );
}

function foreground(bed: Bed): Promise<Comparison> {
  return compareTimes(
    "run foreground",
    ROUNDS,
    {
      ours: withFreshName(bed, async (name) => {
        const { stdout, stderr, exit_code } = await bed.ours.askJson("PUT", "/", { image: IMAGE, name, data: PRINT_AND_FAIL });
        expectOutput({ stdout, stderr }, exit_code);
      }),
      raw: withFreshName(bed, (name) => rawForeground(bed, name)),
      cli: withFreshName(bed, async (name) => {
        await bed.cli(["run", "--name", name, IMAGE, ...PRINT_AND_FAIL], 3);
      }),
    },
    { against: "cli", ratio: 1.1 },
  );
}

// As the docker CLI does it: attach and wait come before start, or a short run could end unseen.
async function rawForeground({ raw }: Bed, name: string): Promise<void> {
  const { Id } = await raw.askJson("POST", `/containers/create?name=${name}`, { Image: IMAGE, Cmd: PRINT_AND_FAIL });
  const attached = await raw.open("POST", `/containers/${Id}/attach?stream=1&stdout=1&stderr=1`);
  const waiting = await raw.open("POST", `/containers/${Id}/wait?condition=next-exit`);
  await raw.ask("POST", `/containers/${Id}/start`);
  const output = demultiplex(await wholeBody(attached));
  const { StatusCode } = JSON.parse((await wholeBody(waiting)).toString());
  expectOutput(output, StatusCode);
}

function expectOutput(output: object, exitCode: unknown): void {
  const result = JSON.stringify({ ...output, exitCode });
  if (result !== '{"stdout":"out\\n","stderr":"err\\n","exitCode":3}') throw new Error(`a foreground run answered ${result}`);
}

function withFreshName(bed: Bed, work: (name: string) => Promise<void>): Task<string> {
  return {
    prepare: async () => `bench-${randomUUID()}`,
    work,
    cleanUp: async (name) => void (await bed.raw.ask("DELETE", `/containers/${name}?force=1`)),
  };
}
