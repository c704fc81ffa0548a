import type { Sandbox, SandboxImage } from "../../../../lib/runs/code/sandbox";
import { type PoolSettings, MAX_WARM_MS, WarmPool } from "../../../../lib/runs/code/warm-pool";
import { quietLog } from "../../../support/unit/quiet-log";

/** A sandbox that is nothing but its life. */
class Shell {
  readonly startedAt = performance.now();
  waits = true;
  closed = 0;
  die: () => void = () => undefined;
  readonly end = new Promise<void>((resolve) => {
    this.die = () => {
      this.waits = false;
      resolve();
    };
  });

  constructor(readonly image: string) {}

  async close(): Promise<void> {
    this.closed += 1;
  }
}

const imageOf = (id: string): SandboxImage => ({ id, volumes: [] });
const [a, b] = [imageOf("a"), imageOf("b")];
let made: Shell[];
let pool: WarmPool;

function makePool(more: Partial<PoolSettings> = {}): void {
  made = [];
  const open = async ({ id }: SandboxImage) => {
    const shell = new Shell(id);
    made.push(shell);
    return shell as unknown as Sandbox;
  };
  pool = new WarmPool(open, { run_memory: 1, run_pool_memory: 4, run_concurrency: 4, ...more }, quietLog().log);
}

beforeEach(() => {
  jest.useFakeTimers();
  makePool();
});
afterEach(async () => {
  await pool.close();
  jest.useRealTimers();
});

const pass = (ms: number) => jest.advanceTimersByTimeAsync(ms);
const open = () => made.filter(({ closed }) => closed === 0);
const waiting = () =>
  open()
    .map(({ image }) => image)
    .join("");

/** Runs of an image at the same time, and time enough to make others in their places. */
async function runs(image: SandboxImage, count = 1): Promise<void> {
  const ends = Array.from({ length: count }, () => pool.beginRun(image));
  for (const _ of ends) await (await pool.take(image))?.close();
  for (const end of ends) end();
  await pass(1500);
}

test("as many wait as an image has needed at a time, and fewer when it needs fewer", async () => {
  await runs(a, 3);
  expect(waiting()).toBe("aaa");
  await runs(a);
  expect(waiting()).toBe("aaa");
  await pass(100_000);
  expect(waiting()).toBe("a");
});

test("one that was taken is never there again, and another comes in its place", async () => {
  await runs(a);
  const taken = new Set<Sandbox | undefined>();
  for (let run = 0; run < 5; run += 1) {
    const end = pool.beginRun(a);
    taken.add(await pool.take(a));
    end();
    await pass(1500);
    expect(pool.size).toBe(1);
  }
  expect(taken.size).toBe(5);
  expect(taken.has(undefined)).toBe(false);
});

test("who has waited for too long goes before its label's time comes, and a fresh one waits in its place", async () => {
  await runs(a);
  const [old] = open();
  for (let time = 0; time < MAX_WARM_MS; time += 60_000) {
    expect(old?.closed).toBe(0);
    pool.beginRun(a)();
    await pass(60_000);
  }
  await pass(10_000);
  expect([old?.closed, waiting(), open()[0] === old]).toEqual([1, "a", false]);
});

test("an image that nobody runs any more is forgotten", async () => {
  await runs(a);
  await pass(320_000);
  expect([waiting(), pool.size]).toEqual(["", 0]);
});

test("images in use share the memory for all, and none takes another's last", async () => {
  await runs(a, 4);
  expect(waiting()).toBe("aaaa");
  await runs(b, 4);
  for (const image of [a, b, a, b]) {
    await runs(image);
    expect([...waiting()].sort().join("")).toBe("aabb");
  }
});

test("where there is room for one, it is the image's that was used last", async () => {
  makePool({ run_pool_memory: 1 });
  for (const image of [a, b, a]) {
    await runs(image);
    expect(waiting()).toBe(image.id);
  }
  expect(made.map(({ image }) => image).join("")).toBe("aba");
});

test("without memory for one there is none", async () => {
  makePool({ run_pool_memory: 0 });
  await runs(a);
  expect(made).toEqual([]);
});

test("one that ended while it waited is given to nobody, and its image is left alone for a while", async () => {
  await runs(a);
  const [dead] = open();
  dead?.die();
  await pass(1);
  expect(await pool.take(a)).toBeUndefined();
  await pass(5000);
  expect([dead?.closed, made.length]).toEqual([1, 1]);
  await pass(20_000);
  expect(waiting()).toBe("a");
});

test("at its end all that wait are removed, also what is still being made", async () => {
  await runs(a, 2);
  let finish: (made: Sandbox) => void = () => undefined;
  const late = new Shell("b");
  const slow = new WarmPool(
    () => new Promise((resolve) => (finish = resolve)),
    { run_memory: 1, run_pool_memory: 4, run_concurrency: 4 },
    quietLog().log,
  );
  slow.beginRun(b)();
  await pass(1500);
  const closing = Promise.all([pool.close(), slow.close()]);
  finish(late as unknown as Sandbox);
  await closing;
  expect([open(), late.closed]).toEqual([[], 1]);
});
