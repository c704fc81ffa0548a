import { readdirSync, readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { settlesBefore } from "../../../lib/support/settles-before";
import { signalWithin } from "../../../lib/support/signal-within";
import { until } from "../../../scripts/process";

setFlagsFromString("--expose-gc");
const collectGarbage: () => void = runInNewContext("gc");

describe("a signal within a time", () => {
  test("aborts after the time, although garbage is collected and nobody listens meanwhile", async () => {
    const signal = signalWithin(300, new AbortController().signal);
    const aborts = async () => {
      await settlesBefore(sleep(10), signal);
      collectGarbage();
      return signal.aborted;
    };
    expect(await until(aborts, 10_000)).toBe(true);
  });

  test("aborts with the other signal, also if that has aborted before", async () => {
    const other = new AbortController();
    const signal = signalWithin(3_600_000, other.signal);
    expect(signal.aborted).toBe(false);
    other.abort();
    expect([signal.aborted, signalWithin(3_600_000, other.signal).aborted]).toEqual([true, true]);
  });

  test("is what the program uses in place of AbortSignal.timeout within AbortSignal.any", () => {
    const files = readdirSync("lib", { recursive: true, encoding: "utf8" }).filter((file) => file.endsWith(".ts"));
    expect(files.length).toBeGreaterThan(100);
    const combined = files.filter((file) => /AbortSignal\.any\(\[[^\]]*AbortSignal\.timeout/.test(readFileSync(`lib/${file}`, "utf8")));
    expect(combined).toEqual([]);
  });
});
