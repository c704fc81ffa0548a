import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { openLogs } from "../../../lib/support/logger";

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
});
