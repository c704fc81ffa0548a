import fc from "fast-check";
import { mergeLogs } from "../../../lib/console/public/log-merge";
import { readLog } from "../../../lib/console/public/log-source";
import { jsonSpans, levelOf, sortableTime } from "../../../lib/console/public/log-text";
import { LogWindow } from "../../../lib/console/public/log-window";

const timeAt = (second: number) => new Date(Date.UTC(2026, 0, 31) + second * 1000).toISOString().replace("Z", "000000Z");
const textOf = (text: string) => jsonSpans(text)?.map((span) => span.text);

describe("a line of JSON", () => {
  test("shows its level and message first, then its other fields", () => {
    const line = { time: "2026-01-31T12:00:00Z", user: "Ann", level: 50, msg: "lost <b>", count: 2, note: "two words", at: { port: 80 } };
    expect(textOf(JSON.stringify(line))?.join("")).toBe('ERROR lost <b> user=Ann count=2 note="two words" at={"port":80} ');
  });

  test("keeps the lines of a stack, and no control character comes through", () => {
    expect(textOf('{"stack":"a\\n\\u001b[31mb"}')).toEqual(["stack=", "\na\nb\n "]);
    fc.assert(
      fc.property(fc.json(), fc.string(), (json, text) => {
        for (const line of [json, JSON.stringify({ [text]: text, message: text, level: text })])
          expect(textOf(line)?.join("") ?? "").not.toMatch(/[\x00-\x08\x0b-\x1f\x7f]/);
      }),
    );
  });

  test.each(["{", "{}x", '["a"]', "text", '"{}"', "null"])("%s is none", (text) => {
    expect(jsonSpans(text)).toBeUndefined();
  });
});

test("a line's level is the one of its field, else the first that it names", () => {
  const lines = ['{"msg":"no error","level":"info"}', '{"level":40}', '{"severity":"CRITICAL"}', "INFO error handler set", "level=trace"];
  expect(lines.map(levelOf)).toEqual(["info", "warn", "error", "info", "debug"]);
});

test("times of any zone and precision are sorted by time", () => {
  const sorted = ["2026-01-31T11:59:59.5+00:00", "2026-01-31T13:00:00+01:00", "2026-01-31T12:00:00.000000001Z", "2026-01-31T12:00:00.1Z"];
  expect(sorted.map(sortableTime).sort()).toEqual(sorted.map(sortableTime));
  expect(sortableTime("2026-13-31T12:00:00Z")).toBe("");
});

describe("the window", () => {
  const windowOf = (limits: object = {}) => new LogWindow({ maxLines: 1000, maxChars: 100_000, ...limits });
  const texts = (window: LogWindow) => window.lines.map(({ text }) => text);

  test("brings lines of several logs into time order, and lines of one log stay in theirs", () => {
    const log = fc.array(fc.array(fc.nat(50), { minLength: 1, maxLength: 8 }), { maxLength: 6 });
    fc.assert(
      fc.property(fc.array(log, { maxLength: 4 }), fc.infiniteStream(fc.nat(1000)), (logs, draws) => {
        const window = windowOf();
        const waiting = logs.map((groups, index) => ({ source: `c${index}`, groups: [...groups], count: 0 }));
        for (
          let left = waiting.filter(({ groups }) => groups.length > 0);
          left.length > 0;
          left = left.filter((each) => each.groups.length > 0)
        ) {
          const log = left[(draws.next().value as number) % left.length] as (typeof waiting)[number];
          const lines = (log.groups.shift() ?? []).map((second) => `${timeAt(second)} ${log.count++}`);
          window.add(log.source, lines);
        }
        const orders = window.lines.map(({ order }) => order);
        expect(orders).toEqual([...orders].sort());
        for (const { source, count } of waiting) {
          const own = window.lines.filter((line) => line.source === source).map(({ text }) => Number(text));
          expect(own).toEqual(Array.from({ length: count }, (_, index) => index));
        }
      }),
    );
  });

  test("puts a late line where its time is", () => {
    const window = windowOf();
    window.add("a", [`${timeAt(1)} a1`, `${timeAt(5)} a5`]);
    window.add("b", [`${timeAt(1)} b1`, `${timeAt(3)} b3`, "b3 continued", `${timeAt(9)} b9`]);
    expect(texts(window)).toEqual(["a1", "b1", "b3", "b3 continued", "a5", "b9"]);
  });

  test("keeps the newest lines, or the oldest, and counts the others", () => {
    for (const [keepsOldest, expected] of [
      [false, ["c", "d", "e"]],
      [true, ["a", "b", "c"]],
    ] as const) {
      const window = windowOf({ maxLines: 3, keepsOldest });
      window.add("x", ["a", "b"]);
      window.add("x", ["c", "d", "e"]);
      expect([texts(window), window.dropped]).toEqual([expected, 2]);
    }
  });

  test("holds no more characters than its limit", () => {
    const window = windowOf({ maxChars: 10 });
    window.add("x", ["aaaa", "bbbb", "cccc"]);
    window.add("x", ["dd"]);
    expect([texts(window), window.dropped]).toEqual([["bbbb", "cccc", "dd"], 1]);
  });
});

describe("a log that breaks", () => {
  /** A server that holds `log`, and breaks off each answer after some lines. */
  function serverOf(log: string[], breaks: number[]) {
    const asked: Record<string, string>[] = [];
    const remaining = [...breaks];
    const open = async function* (query: Record<string, string>) {
      asked.push(query);
      const { since, tail } = query;
      // Times of one zone and precision are compared as text.
      const begin = since === undefined ? log.length - Number(tail ?? log.length) : log.findIndex((line) => line.slice(0, 30) >= since);
      const lines = begin < 0 ? [] : log.slice(Math.max(0, begin));
      const end = remaining.shift();
      for (const line of lines.slice(0, end)) yield [line];
      if (end !== undefined) throw new Error("broken");
    };
    return { open, asked };
  }
  const readAll = async ({ open }: ReturnType<typeof serverOf>, query: Record<string, string>) => {
    const read: string[] = [];
    for await (const lines of readLog(open, query, async (error) => error !== undefined)) read.push(...lines);
    return read;
  };

  test("goes on without a double or a gap, though several lines have one time and one text", async () => {
    const line = fc.tuple(fc.nat(6), fc.constantFrom("a", "b"));
    const logs = fc
      .array(line, { maxLength: 30 })
      .map((lines) => lines.sort(([a], [b]) => a - b).map(([second, text]) => `${timeAt(second)} ${text}`));
    await fc.assert(
      fc.asyncProperty(logs, fc.array(fc.nat(8), { maxLength: 12 }), async (log, breaks) => {
        expect(await readAll(serverOf(log, breaks), {})).toEqual(log);
      }),
    );
  });

  test("goes on from its newest line, within the range that was asked for", async () => {
    const log = [1, 2, 3, 4].map((second) => `${timeAt(second)} ${second}`);
    const server = serverOf(log, [2]);
    expect(await readAll(server, { tail: "3", until: "later" })).toEqual(log.slice(1));
    expect(server.asked).toEqual([
      { tail: "3", until: "later" },
      { until: "later", since: timeAt(3) },
    ]);
  });

  test("repeats no line though the clock was set back", async () => {
    const log = [1, 5, 2, 3].map((second) => `${timeAt(second)} ${second}`);
    expect(await readAll(serverOf(log, [4, 3]), {})).toEqual(log);
  });

  test("is not opened again where the caller doesn't want it", async () => {
    const server = serverOf([`${timeAt(1)} a`], [1, 1]);
    const errors: unknown[] = [];
    for await (const _ of readLog(server.open, {}, async (error) => errors.push(error) < 0));
    expect([errors.map(String), server.asked.length]).toEqual([["Error: broken"], 1]);
  });
});

test("logs are merged into one file by their times, each line with its container's name", async () => {
  const logOf = (name: string, seconds: number[]) => ({
    name,
    lines: (async function* () {
      for (const second of seconds) yield [`${timeAt(second)} ${second}`, "more"];
    })(),
  });
  const read = async (...logs: ReturnType<typeof logOf>[]) => {
    const lines: string[] = [];
    for await (const line of mergeLogs(logs)) lines.push(line.replace(/ 2026\S+|^2026\S+ /, ""));
    return lines;
  };
  expect(await read(logOf("a", [1, 4]), logOf("b", []), logOf("c", [2, 3]))).toEqual([
    "a 1",
    "a more",
    "c 2",
    "c more",
    "c 3",
    "c more",
    "a 4",
    "a more",
  ]);
  expect(await read(logOf("a", [1]))).toEqual(["1", "more"]);
});
