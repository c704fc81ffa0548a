import type { Sandbox } from "../../../../lib/runs/code/sandbox";
import type { SandboxImage } from "../../../../lib/runs/code/sandbox-options";
import { MAX_WARM_MS, type PoolSettings, WarmPool } from "../../../../lib/runs/code/warm-pool";
import { quietLog } from "../../../support/unit/quiet-log";

/** A sandbox without a container. */
class FakeSandbox {
  readonly startedAt = performance.now();
  isWaiting = true;
  closeCount = 0;
  exit: () => void = () => undefined;
  readonly ended = new Promise<void>((resolve) => {
    this.exit = () => {
      this.isWaiting = false;
      resolve();
    };
  });

  constructor(readonly image: string) {}

  async close(): Promise<void> {
    this.closeCount += 1;
  }
}

const imageOf = (id: string): SandboxImage => ({ id, volumes: [] });
const [a, b] = [imageOf("a"), imageOf("b")];
let started: FakeSandbox[];
let pool: WarmPool;

function makePool(more: Partial<PoolSettings> = {}): void {
  started = [];
  const startSandbox = async ({ id }: SandboxImage) => {
    const sandbox = new FakeSandbox(id);
    started.push(sandbox);
    return sandbox as unknown as Sandbox;
  };
  pool = new WarmPool(startSandbox, { run_memory: 1, run_pool_memory: 4, run_concurrency: 4, ...more }, quietLog().log);
}

beforeEach(() => {
  jest.useFakeTimers();
  makePool();
});
afterEach(async () => {
  await pool.close();
  jest.useRealTimers();
});

const advance = (ms: number) => jest.advanceTimersByTimeAsync(ms);
const openSandboxes = () => started.filter(({ closeCount }) => closeCount === 0);
const waiting = () =>
  openSandboxes()
    .map(({ image }) => image)
    .join("");

/** Concurrent runs of an image, and time for their replacements to start. */
async function runs(image: SandboxImage, count = 1): Promise<void> {
  const ends = Array.from({ length: count }, () => pool.beginRun(image));
  for (const _ of ends) await (await pool.take(image))?.close();
  for (const end of ends) end();
  await advance(1500);
}

describe("WarmPool", () => {
  test("the pool keeps as many sandboxes as an image needed at a time, and shrinks with demand", async () => {
    await runs(a, 3);
    expect(waiting()).toBe("aaa");
    await runs(a);
    expect(waiting()).toBe("aaa");
    await advance(100_000);
    expect(waiting()).toBe("a");
  });

  test("the waiting sandboxes of an image give way to its removal, and come back if the image is still used", async () => {
    await runs(a, 2);
    await runs(b);
    expect(await pool.release(a.id)).toBe(true);
    expect(waiting()).toBe("b");
    expect(await pool.release(a.id)).toBe(false);
    await advance(1000);
    expect(waiting()).toBe("b");
    await advance(15_000);
    expect([...waiting()].sort().join("")).toBe("aab");
  });

  test("each sandbox is taken once and replaced", async () => {
    await runs(a);
    const taken = new Set<Sandbox | undefined>();
    for (let run = 0; run < 5; run += 1) {
      const end = pool.beginRun(a);
      taken.add(await pool.take(a));
      end();
      await advance(1500);
      expect(pool.size).toBe(1);
    }
    expect(taken.size).toBe(5);
    expect(taken.has(undefined)).toBe(false);
  });

  test("a sandbox is replaced before its label expires", async () => {
    await runs(a);
    const [old] = openSandboxes();
    for (let time = 0; time < MAX_WARM_MS; time += 60_000) {
      expect(old?.closeCount).toBe(0);
      pool.beginRun(a)();
      await advance(60_000);
    }
    await advance(10_000);
    expect([old?.closeCount, waiting(), openSandboxes()[0] === old]).toEqual([1, "a", false]);
  });

  test("an idle image's sandboxes are removed", async () => {
    await runs(a);
    await advance(320_000);
    expect([waiting(), pool.size]).toEqual(["", 0]);
  });

  test("images in use share the capacity, and none loses its last sandbox", async () => {
    await runs(a, 4);
    expect(waiting()).toBe("aaaa");
    await runs(b, 4);
    for (const image of [a, b, a, b]) {
      await runs(image);
      expect([...waiting()].sort().join("")).toBe("aabb");
    }
  });

  test("with room for one sandbox, the image used last has it", async () => {
    makePool({ run_pool_memory: 1 });
    for (const image of [a, b, a]) {
      await runs(image);
      expect(waiting()).toBe(image.id);
    }
    expect(started.map(({ image }) => image).join("")).toBe("aba");
  });

  test("without memory for a sandbox none is started", async () => {
    makePool({ run_pool_memory: 0 });
    await runs(a);
    expect(started).toEqual([]);
  });

  test("an exited sandbox is not handed out, and its image pauses", async () => {
    await runs(a);
    const [exited] = openSandboxes();
    exited?.exit();
    await advance(1);
    expect(await pool.take(a)).toBeUndefined();
    await advance(5000);
    expect([exited?.closeCount, started.length]).toEqual([1, 1]);
    await advance(20_000);
    expect(waiting()).toBe("a");
  });

  test("close removes waiting sandboxes and those still starting", async () => {
    await runs(a, 2);
    let finish: (sandbox: Sandbox) => void = () => undefined;
    const late = new FakeSandbox("b");
    const slow = new WarmPool(
      () => new Promise((resolve) => (finish = resolve)),
      { run_memory: 1, run_pool_memory: 4, run_concurrency: 4 },
      quietLog().log,
    );
    slow.beginRun(b)();
    await advance(1500);
    const closing = Promise.all([pool.close(), slow.close()]);
    finish(late as unknown as Sandbox);
    await closing;
    expect([openSandboxes(), late.closeCount]).toEqual([[], 1]);
  });
});

test("closing waits until a sandbox whose start ends meanwhile is removed", async () => {
  const sandbox = new FakeSandbox("a");
  let endStart: (started: Sandbox) => void = () => undefined;
  let endRemoval: () => void = () => undefined;
  sandbox.close = () => new Promise((resolve) => (endRemoval = resolve));
  pool = new WarmPool(
    () => new Promise((resolve) => (endStart = resolve)),
    { run_memory: 1, run_pool_memory: 4, run_concurrency: 4 },
    quietLog().log,
  );
  pool.beginRun(a)();
  await advance(1000);
  let isClosed = false;
  const closing = pool.close().then(() => {
    isClosed = true;
  });
  endStart(sandbox as unknown as Sandbox);
  await advance(1000);
  const wasClosedEarly = isClosed;
  endRemoval();
  await closing;
  expect(wasClosedEarly).toBe(false);
});
