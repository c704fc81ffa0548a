import { randomUUID } from "node:crypto";
import type { Bed } from "./bed";
import { type Comparison, compareTimes, type Task } from "./compare";
import { demultiplex, wholeBody } from "./http-client";

const ROUNDS = 18;
const IMAGE = "busybox";
const SLEEP = ["sleep", "600"];
const SPEAK = ["sh", "-c", "echo out; echo err >&2; exit 3"];

/** A container started in the background, and one whose end is waited for, with output and exit code. */
export async function benchRun(bed: Bed): Promise<Comparison[]> {
  return [await detached(bed), await foreground(bed)];
}

function detached(bed: Bed): Promise<Comparison> {
  return compareTimes(
    "run detached",
    ROUNDS,
    {
      ours: named(bed, async (name) => {
        await bed.ours.ask("PUT", "/", { image: IMAGE, name, detach: true, data: SLEEP });
      }),
      raw: named(bed, async (name) => {
        const { Id } = await bed.raw.askJson("POST", `/containers/create?name=${name}`, { Image: IMAGE, Cmd: SLEEP });
        await bed.raw.ask("POST", `/containers/${Id}/start`);
      }),
      cli: named(bed, async (name) => {
        await bed.cli(["run", "--detach", "--name", name, IMAGE, ...SLEEP]);
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
      ours: named(bed, async (name) => {
        const { stdout, stderr, exit_code } = await bed.ours.askJson("PUT", "/", { image: IMAGE, name, data: SPEAK });
        expectSpoken({ stdout, stderr }, exit_code);
      }),
      raw: named(bed, (name) => rawForeground(bed, name)),
      cli: named(bed, async (name) => {
        await bed.cli(["run", "--name", name, IMAGE, ...SPEAK], 3);
      }),
    },
    { against: "cli", ratio: 1.1 },
  );
}

// The order in which the docker CLI does it, too: whoever attaches or waits later than the start can miss the end.
async function rawForeground({ raw }: Bed, name: string): Promise<void> {
  const { Id } = await raw.askJson("POST", `/containers/create?name=${name}`, { Image: IMAGE, Cmd: SPEAK });
  const attached = await raw.open("POST", `/containers/${Id}/attach?stream=1&stdout=1&stderr=1`);
  const waiting = await raw.open("POST", `/containers/${Id}/wait?condition=next-exit`);
  await raw.ask("POST", `/containers/${Id}/start`);
  const output = demultiplex(await wholeBody(attached));
  const { StatusCode } = JSON.parse((await wholeBody(waiting)).toString());
  expectSpoken(output, StatusCode);
}

function expectSpoken(output: object, exitCode: unknown): void {
  const said = JSON.stringify({ ...output, exitCode });
  if (said !== '{"stdout":"out\\n","stderr":"err\\n","exitCode":3}') throw new Error(`a foreground run answered ${said}`);
}

function named(bed: Bed, work: (name: string) => Promise<void>): Task<string> {
  return {
    prepare: async () => `bench-${randomUUID()}`,
    work,
    cleanUp: async (name) => void (await bed.raw.ask("DELETE", `/containers/${name}?force=1`)),
  };
}
