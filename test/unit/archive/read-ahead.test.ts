import { randomBytes } from "node:crypto";
import { once } from "node:events";
import fs from "node:fs";
import { Readable } from "node:stream";
import { setImmediate as nextTurn } from "node:timers/promises";
import fc from "fast-check";
import { DiskBudget, ReadAhead } from "../../../lib/archive/read-ahead";
import { until } from "../../../scripts/process";

const noise = randomBytes(6_000_000);
const sourceOf = (bytes: Buffer, pieceBytes: number) =>
  Readable.from(
    (function* () {
      for (let at = 0; at < bytes.length; at += pieceBytes) yield bytes.subarray(at, at + pieceBytes);
    })(),
    { objectMode: false },
  );
const openFiles = () =>
  fs.readdirSync("/proc/self/fd").flatMap((fd) => {
    try {
      return /docker-server-.*\(deleted\)/.test(fs.readlinkSync(`/proc/self/fd/${fd}`)) ? [fd] : [];
    } catch {
      return []; // closed meanwhile
    }
  });
const isWhole = (budget: DiskBudget, bytes: number) => {
  const hasAll = budget.take(bytes);
  if (hasAll) budget.giveBack(bytes);
  return hasAll;
};

test("all bytes come out in order, whatever is sent, read and left of the disk, and the disk is given back", async () => {
  const cases = fc.record({
    size: fc.nat(3_000_000),
    pieceBytes: fc.integer({ min: 3_000, max: 400_000 }),
    pauses: fc.array(fc.nat(5), { minLength: 1, maxLength: 10 }),
    budgetBytes: fc.constantFrom(0, 300_000, 1_500_000, 10_000_000),
  });
  await fc.assert(
    fc.asyncProperty(cases, async ({ size, pieceBytes, pauses, budgetBytes }) => {
      const budget = new DiskBudget(budgetBytes);
      const sent = noise.subarray(0, size);
      const stream = sourceOf(sent, pieceBytes).pipe(new ReadAhead(budget));
      const received: Buffer[] = [];
      for await (const chunk of stream) {
        received.push(chunk as Buffer);
        for (let turn = pauses[received.length % pauses.length] ?? 0; turn > 0; turn--) await nextTurn();
      }
      expect(Buffer.concat(received).equals(sent)).toBe(true);
      expect(await until(() => isWhole(budget, budgetBytes), 5000)).toBe(true);
    }),
    { numRuns: 60 },
  );
  expect(openFiles()).toEqual([]);
});

test("no file is made for a reader that keeps pace", async () => {
  const open = jest.spyOn(fs, "openSync");
  try {
    for await (const chunk of sourceOf(noise, 65_536).pipe(new ReadAhead(new DiskBudget(10_000_000)))) expect(chunk).not.toHaveLength(0);
    expect(open).not.toHaveBeenCalled();
  } finally {
    open.mockRestore();
  }
});

test("everything is taken in while nothing is read, and memory holds little of it", async () => {
  const budget = new DiskBudget(400_000_000);
  const before = process.memoryUsage().arrayBuffers;
  const source = Readable.from(
    (function* () {
      for (let piece = 0; piece < 300; piece++) yield Buffer.alloc(1_000_000, piece);
    })(),
    { objectMode: false },
  );
  const stream = source.pipe(new ReadAhead(budget));
  await Promise.all([once(source, "end"), once(stream, "finish")]);
  (globalThis as { gc?: () => void }).gc?.();
  expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(100_000_000);
  let size = 0;
  for await (const chunk of stream) size += (chunk as Buffer).length;
  expect(size).toBe(300_000_000);
});

test("without room on the disk no more is taken in than is read", async () => {
  const budget = new DiskBudget(1_000_000);
  let sent = 0;
  const source = Readable.from(
    (function* () {
      for (; sent < 50; sent++) yield Buffer.alloc(500_000);
    })(),
    { objectMode: false },
  );
  const stream = source.pipe(new ReadAhead(budget));
  expect(await until(() => !budget.take(500_001), 5000)).toBe(true);
  for (let turn = 0; turn < 100; turn++) await nextTurn();
  expect(sent).toBeLessThan(15);
  let size = 0;
  for await (const chunk of stream) size += (chunk as Buffer).length;
  expect(size).toBe(25_000_000);
});

test("a full disk costs no bytes: they are taken in as they are read", async () => {
  const write = jest.spyOn(fs, "openSync").mockImplementation(() => {
    throw Object.assign(new Error("no space"), { code: "ENOSPC" });
  });
  try {
    const received: Buffer[] = [];
    for await (const chunk of sourceOf(noise, 70_000).pipe(new ReadAhead(new DiskBudget(10_000_000)))) {
      received.push(chunk as Buffer);
      await nextTurn();
    }
    expect(Buffer.concat(received).equals(noise)).toBe(true);
    expect(write).toHaveBeenCalled();
  } finally {
    write.mockRestore();
  }
});

test("a reader that goes away frees the disk", async () => {
  const budget = new DiskBudget(10_000_000);
  const stream = sourceOf(noise, 100_000).pipe(new ReadAhead(budget));
  expect(await until(() => openFiles().length === 1, 5000)).toBe(true);
  stream.destroy();
  expect(await until(() => openFiles().length === 0 && isWhole(budget, 10_000_000), 5000)).toBe(true);
});
