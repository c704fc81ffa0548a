import { mkdtempSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { type AuditEntry, type AuditRange, readAuditLog } from "../../../lib/support/audit-log";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), "docker-server-audit-"));
});
afterEach(() => rmSync(folder, { recursive: true }));

const lineAt = (seconds: number, more: object = {}) =>
  `${JSON.stringify({ timestamp: new Date(seconds * 1000).toISOString(), ...more })}\n`;
const write = (name: string, ...lines: string[]) => writeFileSync(path.join(folder, name), lines.join(""));
async function read(range: AuditRange = {}): Promise<(number | "damaged")[]> {
  const found: (AuditEntry | undefined)[] = [];
  for await (const entry of readAuditLog(folder, range)) found.push(entry);
  return found.map((entry) => (entry ? Date.parse(entry.timestamp) / 1000 : "damaged"));
}

test("rotated files are read in the order in which they were written, and other files of the folder are not", async () => {
  write("actions-2026-01-02.jsonl", lineAt(20));
  write("actions-2026-01-02.jsonl.1", lineAt(21));
  write("actions-2026-01-02.jsonl.10", lineAt(30));
  write("actions-2026-01-02.jsonl.2", lineAt(22));
  write("actions-2026-01-01.jsonl", lineAt(10), lineAt(11));
  write("docker-server-2026-01-01.log", lineAt(1));
  write("actions-2026-01-01.jsonl.gz", lineAt(2));
  expect(await read()).toEqual([10, 11, 20, 21, 22, 30]);
});

test("the beginning of the range is included and its end is not; a file that ended before it is not opened", async () => {
  write("actions-2026-01-01.jsonl", "damaged\n");
  utimesSync(path.join(folder, "actions-2026-01-01.jsonl"), 5, 5);
  write("actions-2026-01-02.jsonl", ...[9.999, 10, 11.5, 12].map((time) => lineAt(time)));
  expect(await read({ sinceMs: 10_000, untilMs: 12_000 })).toEqual([10, 11.5]);
});

test("the entries of one request are found, and damaged lines are told", async () => {
  write(
    "actions-2026-01-01.jsonl",
    lineAt(1, { request_id: "a" }),
    "damaged\n",
    lineAt(2, { request_id: "b" }),
    lineAt(3, { request_id: "a" }),
  );
  expect(await read({ request_id: "a" })).toEqual([1, "damaged", 3]);
});

test("each damaged line is told, whatever its length, and the lines around it are read; the end of a line may be missing yet", async () => {
  const damaged = [
    "{\n",
    "\0\0\n",
    "null\n",
    '{"timestamp":"later"}\n',
    '{"timestamp":1}\n',
    lineAt(1, { padding: "x".repeat(3_000_000) }),
  ];
  write("actions-2026-01-01.jsonl", ...damaged.flatMap((line, index) => [line, lineAt(index, { text: "ü\n" })]), lineAt(9).slice(0, -1));
  expect(await read()).toEqual(damaged.flatMap((_, index) => ["damaged", index]));
});

test("memory stays flat in a log with one line of any length", async () => {
  const file = path.join(folder, "actions-2026-01-01.jsonl");
  for (let piece = 0; piece < 100; piece++) writeFileSync(file, Buffer.alloc(1_000_000, "x"), { flag: "a" });
  writeFileSync(file, `\n${lineAt(1)}`, { flag: "a" });
  const before = process.memoryUsage();
  expect(await read()).toEqual(["damaged", 1]);
  const after = process.memoryUsage();
  expect(after.heapUsed + after.arrayBuffers - before.heapUsed - before.arrayBuffers).toBeLessThan(70_000_000);
});
