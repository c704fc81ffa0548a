import fc from "fast-check";
import { BackwardSearch, type OpenLog } from "../../../../lib/docker/containers/backward-search";
import type { FoundLine } from "../../../../lib/docker/containers/log-window";

const PIECE_BYTES = 16_384;
const SECOND = 1_800_000_000;

interface Line {
  stream: "stdout" | "stderr";
  text: string;
  /** ns after SECOND */
  time: number;
}

const timeOf = (ns: number) =>
  `${new Date((SECOND + Math.floor(ns / 1e9)) * 1000).toISOString().slice(0, 19)}.${String(ns % 1e9).padStart(9, "0")}Z`;
const secondsOf = (ns: number) => `${SECOND + Math.floor(ns / 1e9)}.${String(ns % 1e9).padStart(9, "0")}`;

interface Message {
  time: number;
  /** as the engine sends it, with the header of a frame */
  framed: Buffer;
}

/** The messages as the engine keeps them: a long line in pieces, of which only the last has a line break. */
function messagesOf({ stream, text, time }: Line): Message[] {
  const bytes = Buffer.from(`${text}\n`);
  const messages: Message[] = [];
  for (let start = 0; start < bytes.length; start += PIECE_BYTES) {
    const timed = Buffer.concat([Buffer.from(`${timeOf(time)} `), bytes.subarray(start, start + PIECE_BYTES)]);
    const header = Buffer.from([stream === "stdout" ? 1 : 2, 0, 0, 0, 0, 0, 0, 0]);
    header.writeUInt32BE(timed.length, 4);
    messages.push({ time, framed: Buffer.concat([header, timed]) });
  }
  return messages;
}

/** An engine with one log, to which lines are added while it is read. */
class FakeEngine {
  readonly requests: (number | undefined)[] = [];
  bytesSent = 0;
  private readonly messages: Message[];

  constructor(
    lines: readonly Line[],
    private readonly options: { tty?: boolean; chunkBytes?: number; added?: readonly Line[] } = {},
  ) {
    this.messages = lines.flatMap(messagesOf);
  }

  readonly open: OpenLog = async ({ tail, until }) => {
    const { tty = false, chunkBytes = 65_536, added = [] } = this.options;
    this.requests.push(tail);
    const [second = "", decimals = ""] = (until ?? "").split(".");
    const untilNs = (Number(second) - SECOND) * 1e9 + Number(decimals.padEnd(9, "0"));
    const last = until === undefined ? undefined : this.messages.findIndex(({ time }) => time > untilNs);
    const from = tail === undefined ? 0 : Math.max(0, this.messages.length - tail);
    const sent = this.messages.slice(from, last === undefined || last === -1 ? undefined : last);
    const bytes = Buffer.concat(sent.map(({ framed }) => (tty ? framed.subarray(8) : framed)));
    this.messages.push(...added.flatMap(messagesOf));
    const engine = this;
    const stream = (async function* () {
      for (let start = 0; start < bytes.length; start += chunkBytes) {
        const chunk = bytes.subarray(start, start + chunkBytes);
        engine.bytesSent += chunk.length;
        yield chunk;
      }
    })();
    return { stream, tty };
  };
}

const never = new AbortController().signal;

/** Everything that a search finds, window by window. */
async function searchAll(search: BackwardSearch, limit = 1e9): Promise<FoundLine[][]> {
  const windows: FoundLine[][] = [];
  while (!search.isDone) windows.push(await search.nextWindow(limit, { remaining: 1e12 }, never));
  return windows;
}

/** Lines whose times grow, some by nothing; `count` makes logs of several windows. */
const log = fc
  .array(
    fc.record({
      stream: fc.constantFrom<Line["stream"]>("stdout", "stderr"),
      text: fc.constantFrom(
        "",
        "needle",
        "a NEEDLE in it",
        "needl",
        "漢字 Needle ü",
        "hay",
        `${"x".repeat(PIECE_BYTES - 3)}needle${"y".repeat(PIECE_BYTES)}`,
      ),
      step: fc.constantFrom(0, 1, 1_500_000_000),
      copies: fc.constantFrom(1, 1, 3, 400, 1500),
    }),
    { maxLength: 5 },
  )
  .map((parts) => {
    let time = 0;
    return parts.flatMap(({ stream, text, step, copies }) =>
      // Many copies of a long line would only be slow.
      Array.from({ length: text.length > PIECE_BYTES ? Math.min(copies, 3) : copies }, (_, copy) => {
        time += copy === 0 ? step : copies > 3 ? 1 : step;
        return { stream, text: `${text}${copies > 3 ? copy : ""}`, time };
      }),
    );
  });

const isFound = ({ text }: { text: string }) => text.toLowerCase().includes("needle");

test("the lines found are those that a filter over all lines finds, the newest first, whatever the log grows meanwhile", async () => {
  const growth = fc.constantFrom(0, 3, 5000);
  await fc.assert(
    fc.asyncProperty(log, growth, fc.integer({ min: 20, max: 70_000 }), async (lines, added, chunkBytes) => {
      const start = (lines.at(-1)?.time ?? 0) + 1;
      const more = Array.from({ length: added }, (_, index): Line => ({ stream: "stdout", text: "needle", time: start + index }));
      const engine = new FakeEngine(lines, { chunkBytes: lines.length > 100 ? 65_536 : chunkBytes, added: more });
      const found = (await searchAll(new BackwardSearch(engine.open, "Needle", {}))).flat();
      const expected = lines.filter(isFound).map(({ stream, text, time }) => ({ time: timeOf(time), stream, text }));
      // An excerpt of a long line holds the text.
      const short = (text: string) => (text.length > 8192 ? "long" : text);
      const comparable = (all: { time: string; stream: string; text: string }[]) =>
        all.map((each) => ({ ...each, text: short(each.text) }));
      const sorted = (all: object[]) => all.map((each) => JSON.stringify(each)).sort();
      const actual = found.map(({ line, ...rest }) => ({ ...rest, text: line.length === 8192 ? "long" : line }));
      expect(sorted(actual)).toEqual(sorted(comparable(expected)));
      expect(actual.map(({ time }) => time)).toEqual(
        actual
          .map(({ time }) => time)
          .sort()
          .reverse(),
      );
    }),
    { numRuns: 40 },
  );
});

const lines = (count: number, text: (index: number) => string): Line[] =>
  Array.from({ length: count }, (_, index) => ({ stream: "stdout", text: text(index), time: index * 1_000_000 }));

test("a line before until is found where a later one of the other stream is stored before it", async () => {
  const lines: Line[] = [
    { stream: "stdout", text: "x first", time: 1000 },
    { stream: "stdout", text: "x third", time: 3000 },
    { stream: "stderr", text: "x second", time: 2000 },
  ];
  const search = new BackwardSearch(new FakeEngine(lines).open, "x", { until: secondsOf(2000) });
  expect((await searchAll(search)).flat().map(({ line }) => line)).toEqual(["x second", "x first"]);
});

test("since and until are the first and the last moment that is searched, to the nanosecond", async () => {
  const all = lines(30_000, (index) => `needle ${index}`);
  for (const [from, to] of [
    [29_990, 30_100],
    [100, 110],
    [2, 9000],
    [40_000, 50_000],
  ] as const) {
    const range = { since: secondsOf(from * 1_000_000), until: secondsOf(to * 1_000_000) };
    const found = (await searchAll(new BackwardSearch(new FakeEngine(all).open, "needle", range))).flat();
    expect(found.map(({ line }) => line)).toEqual(
      all
        .slice(from, to + 1)
        .map(({ text }) => text)
        .reverse(),
    );
  }
});

test("what is older than since is not read to its beginning", async () => {
  const engine = new FakeEngine(lines(20_000, (index) => `hay ${index}`));
  await searchAll(new BackwardSearch(engine.open, "needle", { since: secondsOf(19_990 * 1_000_000) }));
  expect(engine.requests).toEqual([1000]);
});

test("a line near the end is found before the rest of the log is read, and of all lines each is read about once", async () => {
  const engine = new FakeEngine(lines(40_000, (index) => (index === 37_000 ? "needle" : `hay ${index} ${"x".repeat(80)}`)));
  const search = new BackwardSearch(engine.open, "needle", {});
  const found: FoundLine[] = [];
  while (found.length === 0) found.push(...(await search.nextWindow(10, { remaining: 1e12 }, never)));
  expect(engine.bytesSent).toBeLessThan(1_500_000);
  expect(await searchAll(search)).not.toContainEqual([expect.anything()]);
  expect(engine.bytesSent).toBeLessThan(6_500_000);
});

test("lines of one time are all found, also if there are more of them than a window has", async () => {
  const all = lines(9000, (index) => `needle ${index}`).map((line) => ({ ...line, time: 5 }));
  const found = (await searchAll(new BackwardSearch(new FakeEngine(all).open, "needle", {}))).flat();
  expect(found.map(({ line }) => line).sort()).toEqual(all.map(({ text }) => text).sort());
});

test("the output of a terminal is searched without its carriage returns, and text across the pieces of a long line is found", async () => {
  const long = `${"x".repeat(PIECE_BYTES - 3)}needle`;
  const all = lines(4500, (index) => (index === 1500 ? `${long}\r` : `${"hay".repeat(30)}\r`));
  const found = (await searchAll(new BackwardSearch(new FakeEngine(all, { tty: true }).open, "needle", {}))).flat();
  expect(found).toEqual([{ time: timeOf(1_500_000_000), stream: "stdout", line: long.slice(-8192) }]);
});

test("of more lines than the limit the newest are returned, and it is told that there are more", async () => {
  const search = new BackwardSearch(new FakeEngine(lines(500, (index) => `needle ${index}`)).open, "needle", {});
  const found = await search.nextWindow(2, { remaining: 1e12 }, never);
  expect([found.map(({ line }) => line), search.hasDropped, search.isDone]).toEqual([["needle 499", "needle 498"], true, true]);
});

test("a search ends when the bytes that it may read are read, or its signal aborts, and returns what it has found", async () => {
  const engine = new FakeEngine(
    lines(500, (index) => `needle ${index}`),
    { chunkBytes: 1000 },
  );
  const search = new BackwardSearch(engine.open, "needle", {});
  const found = await search.nextWindow(1e9, { remaining: 3000 }, never);
  expect([found.length > 10, engine.bytesSent, search.isCut, search.isDone]).toEqual([true, 3000, true, true]);
  const aborted = new BackwardSearch(engine.open, "needle", {});
  await aborted.nextWindow(1e9, { remaining: 1e12 }, AbortSignal.abort());
  expect([aborted.isCut, aborted.isDone]).toEqual([true, true]);
});

test("a line without an end takes no more memory than its parts, and each of them is searched", async () => {
  const part = "x".repeat(PIECE_BYTES);
  const engine = new FakeEngine([{ stream: "stdout", text: `${part.repeat(150)}needle`, time: 1 }]);
  const found = (await searchAll(new BackwardSearch(engine.open, "needle", {}))).flat();
  expect(found.map(({ time, line }) => [time, line.length])).toEqual([[timeOf(1), 8192]]);
});
