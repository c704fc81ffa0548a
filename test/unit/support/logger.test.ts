import fs, { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { openLogs } from "../../../lib/support/logger";
import { until } from "../../../scripts/process";

const DAY_MS = 86_400_000;
const today = (shiftDays = 0) => {
  const date = new Date(Date.now() + shiftDays * DAY_MS);
  return [date.getFullYear(), date.getMonth() + 1, date.getDate()].map((part) => String(part).padStart(2, "0")).join("-");
};

describe("openLogs", () => {
  test("closing the logs writes every earlier entry and drops later ones", async () => {
    const log_dir = mkdtempSync(path.join(tmpdir(), "docker-server-logs-"));
    try {
      const logs = openLogs({ log_level: "fatal", log_dir, log_expiry: 1, log_max_size: 25 });
      const LINES = 20_000;
      for (let line = 0; line < LINES; line++) logs.audit({ line, padding: "x".repeat(200) });
      const closed = logs.close();
      logs.log.fatal("too late");
      logs.audit({ line: "too late" });
      await closed;
      logs.log.fatal("too late");
      const written = readFileSync(path.join(log_dir, "actions.jsonl"), "utf8").trim().split("\n");
      expect([written.length, JSON.parse(written.at(-1) ?? "")]).toMatchObject([LINES, { line: LINES - 1 }]);
    } finally {
      rmSync(log_dir, { recursive: true });
    }
  });

  describe("in a folder of its own", () => {
    let log_dir: string;
    beforeEach(() => {
      log_dir = mkdtempSync(path.join(tmpdir(), "docker-server-logs-"));
    });
    afterEach(() => {
      rmSync(log_dir, { recursive: true });
    });
    const open = (more: { log_max_size?: number; log_dir?: string } = {}) =>
      openLogs({ log_level: "fatal", log_dir, log_expiry: 2, log_max_size: 25, ...more });
    const written = () => readFileSync(path.join(log_dir, "actions.jsonl"), "utf8").trim().split("\n");

    test("a full disk loses lines, which are counted and told once; when there is room again, the log goes on", async () => {
      // Writes to /dev/full fail with ENOSPC. A test that begins before midnight may write to the next day's file.
      const files = [today(), today(1)].map((date) => path.join(log_dir, `actions-${date}.jsonl`));
      for (const file of files) symlinkSync("/dev/full", file);
      const stderr = jest.spyOn(process.stderr, "write").mockReturnValue(true);
      try {
        const logs = open();
        for (let line = 1; line <= 3; line++) {
          logs.audit({ line });
          expect(await until(() => logs.lostLines()["actions.jsonl"] === line, 10_000)).toBe(true);
        }
        for (const file of files) rmSync(file);
        logs.audit({ line: 4 });
        await logs.close();
        expect(written()).toEqual(['{"line":4}']);
        expect(stderr.mock.calls.map(([text]) => String(text))).toEqual([
          expect.stringMatching(/^The log actions\.jsonl can't be written, 1 lines are lost: ENOSPC/),
          "The log actions.jsonl can be written again; 3 lines are lost\n",
        ]);
      } finally {
        stderr.mockRestore();
      }
    });

    test.each([
      ["ENOSPC", true],
      ["EDQUOT", true],
      ["EACCES", false],
    ])("a log folder that can't be made at the start because of %s is made later, and the server starts: %s", async (code, isSurvived) => {
      rmSync(log_dir, { recursive: true });
      const refusal = Object.assign(new Error(`${code}: mkdir`), { code });
      const making = jest.spyOn(fs, "mkdirSync").mockImplementationOnce(() => {
        throw refusal;
      });
      try {
        if (!isSurvived) return expect(open).toThrow("--log_dir can't be used: EACCES: mkdir");
        const logs = open();
        logs.audit({ line: 1 });
        await logs.close();
        expect(written()).toEqual(['{"line":1}']);
      } finally {
        making.mockRestore();
        mkdirSync(log_dir, { recursive: true });
      }
    });

    test("a log folder below /proc, where Node's own recursive mkdir never ends, is an error", () => {
      expect(() => open({ log_dir: "/proc/no-such-folder/logs" })).toThrow("--log_dir can't be used: ENOENT");
    });

    test("a file that outgrew its size is followed by another, and files past their age are removed", async () => {
      const old = path.join(log_dir, `actions-${today(-3)}.jsonl`);
      const kept = path.join(log_dir, `actions-${today(-1)}.jsonl.1`);
      for (const [file, days] of [
        [old, 3],
        [kept, 1],
      ] as const) {
        writeFileSync(file, "");
        const time = new Date(Date.now() - days * DAY_MS);
        utimesSync(file, time, time);
      }
      for (const line of [1, 2]) {
        const logs = open({ log_max_size: 0.0001 });
        logs.audit({ line, padding: "x".repeat(200) });
        await logs.close();
      }
      expect(written()).toHaveLength(1);
      expect(JSON.parse(written()[0] ?? "")).toMatchObject({ line: 2 });
      const names = readdirSync(log_dir).filter((name) => name.startsWith("actions-"));
      expect(names).toHaveLength(3);
      expect(names).toContain(path.basename(kept));
    });

    test("a terminal that can't be written to is survived", () => {
      open();
      // Without a listener this would throw.
      expect(process.stdout.emit("error", Object.assign(new Error("write EPIPE"), { code: "EPIPE" }))).toBe(true);
    });
  });
});
