import { setImmediate as nextTurn } from "node:timers/promises";

const LINES_AT_ONCE = 100;
const noEvents = { addEventListener: () => undefined, removeEventListener: () => undefined };
const noStorage = { getItem: () => null };

/** Frames that wait to be drawn. */
let frames: ((nowMs: number) => void)[] = [];
let nowMs = 0;
/** Answers the requests of the page. */
let respond: (path: string) => Response;
let requests: string[] = [];

beforeEach(() => {
  frames = [];
  requests = [];
  Object.assign(globalThis, {
    sessionStorage: noStorage,
    localStorage: noStorage,
    document: { hidden: false, ...noEvents },
    requestAnimationFrame: (frame: (nowMs: number) => void) => frames.push(frame),
    cancelAnimationFrame: () => undefined,
    fetch: async (path: string) => {
      requests.push(path);
      return respond(path);
    },
  });
});

const newReader = async (range: object = {}) => {
  const { LogReader } = await import("../../../lib/console/public/log-reader.js");
  return new LogReader({ since: "", until: "", isFollowed: true, ...range }, () => undefined);
};
/** Lets everything happen that waits for no frame. */
const settle = async () => {
  for (let turn = 0; turn < 100; turn += 1) await nextTurn();
};
const draw = () => {
  nowMs += 1000;
  for (const frame of frames.splice(0)) frame(nowMs);
};
const WEB = { id: "a".repeat(64), name: "web", host: "n1", state: "running" };

test("no more lines are read than a frame takes, however many the server has", async () => {
  let sent = 0;
  const line = () => `2026-01-31T12:00:00.${String(sent++).padStart(9, "0")}Z text\n`;
  const pull = (controller: ReadableStreamDefaultController) => {
    // A reader without limits would never let the test go on.
    if (sent > 50_000) controller.close();
    else controller.enqueue(new TextEncoder().encode(Array.from({ length: LINES_AT_ONCE }, line).join("")));
  };
  respond = () => new Response(new ReadableStream({ pull }, { highWaterMark: 0 }));
  const reader = await newReader();
  reader.update([WEB]);
  await settle();
  const first = sent;
  expect(first).toBeGreaterThanOrEqual(5000);
  expect(first).toBeLessThanOrEqual(5000 + 2 * LINES_AT_ONCE);
  draw();
  await settle();
  expect(sent).toBeGreaterThan(first);
  expect(sent).toBeLessThanOrEqual(2 * (5000 + 2 * LINES_AT_ONCE));
  expect(reader.window.lines).toHaveLength(3000);
  expect(reader.window.dropped).toBeGreaterThanOrEqual(sent - 3000 - 2 * LINES_AT_ONCE);
  reader.close();
});

test("of more logs than may be open each waits until another one ends, and says so", async () => {
  const containers = Array.from({ length: 6 }, (_, index) => ({ id: String(index).repeat(64), name: `web-${index}`, host: "n1" }));
  const opened: ReadableStreamDefaultController[] = [];
  respond = () => new Response(new ReadableStream({ start: (controller) => void opened.push(controller) }));
  const reader = await newReader();
  const states = () => containers.map(({ id }) => reader.states.get(id)?.text);
  reader.update(containers);
  await settle();
  expect([opened.length, ...states()]).toEqual([4, "reading", "reading", "reading", "reading", "waiting", "waiting"]);
  opened[1]?.close();
  await settle();
  expect([opened.length, ...states()]).toEqual([5, "reading", "ended", "reading", "reading", "reading", "waiting"]);
  reader.close();
});

test("a log that has ended is opened again at its last line once its container is listed as running", async () => {
  respond = () => new Response("2026-01-31T12:00:00.000000001Z last\n");
  const reader = await newReader();
  reader.update([WEB]);
  await settle();
  expect(reader.states.get(WEB.id)).toEqual({ text: "ended" });
  reader.update([{ ...WEB, state: "exited" }]);
  await settle();
  expect(requests).toHaveLength(1);
  reader.update([WEB]);
  await settle();
  const queries = requests.map((path) => Object.fromEntries(new URL(path, "http://n1").searchParams));
  const common = { node: "n1", timestamps: "true", follow: "true" };
  expect(queries).toEqual([
    { ...common, tail: "500" },
    { ...common, since: "2026-01-31T12:00:00.000000001Z" },
  ]);
  expect(reader.window.lines.map(({ text }) => text)).toEqual(["last"]);
  reader.close();
});

test("a log that is refused is not asked for again, and says why", async () => {
  respond = () => Response.json({ code: "CONTAINER_NOT_FOUND", message: "not here" }, { status: 404 });
  const reader = await newReader();
  reader.update([WEB]);
  await settle();
  reader.update([WEB]);
  await settle();
  expect([requests.length, reader.states.get(WEB.id)?.error?.message]).toEqual([1, "not here"]);
});

test("from a past time on, the first lines are shown and no more are read", async () => {
  let sent = 0;
  const pull = (controller: ReadableStreamDefaultController) =>
    controller.enqueue(new TextEncoder().encode(`2026-01-31T12:00:00.${String(sent++).padStart(9, "0")}Z ${sent}\n`));
  respond = () => new Response(new ReadableStream({ pull }, { highWaterMark: 0 }));
  const reader = await newReader({ since: "1h", isFollowed: false });
  reader.update([WEB]);
  while (reader.states.get(WEB.id)?.text !== "full") await nextTurn();
  await settle();
  expect([sent, reader.window.lines.length, reader.window.lines[0]?.text]).toEqual([3000, 3000, "1"]);
  expect(requests[0]).toContain("follow=false&since=1h");
});

test.each([
  [502, "NODE_FAILED"],
  [404, "NODE_NOT_FOUND"],
  [429, "TOO_MANY_REQUESTS"],
])(
  "a log that breaks is told as broken until its node is back, however often it is answered %i %s, and then goes on",
  async (status, code) => {
    jest.useFakeTimers({ doNotFake: ["nextTick", "setImmediate", "queueMicrotask"] });
    try {
      const lines = ["2026-01-31T12:00:00.000000001Z one\n", "2026-01-31T12:00:00.000000002Z two\n"];
      const logOf = (count: number, end: (controller: ReadableStreamDefaultController) => void) =>
        new Response(
          new ReadableStream({
            start(controller) {
              controller.enqueue(new TextEncoder().encode(lines.slice(0, count).join("")));
            },
            pull: end,
          }),
        );
      const reader = await newReader();
      const state = () => reader.states.get(WEB.id)?.text;
      const told: (string | undefined)[] = [];
      respond = () => logOf(1, (controller) => controller.error(new Error("cut")));
      reader.update([WEB]);
      await settle();
      respond = () => {
        told.push(state());
        return Response.json({ code, message: "away" }, { status });
      };
      for (let round = 0; round < 3; round += 1) {
        jest.advanceTimersByTime(2000);
        await settle();
      }
      expect([...told, state()]).toEqual(["broken", "broken", "broken", "broken"]);
      respond = () => logOf(2, () => undefined);
      jest.advanceTimersByTime(2000);
      await settle();
      expect([state(), reader.window.lines.map(({ text }) => text)]).toEqual(["reading", ["one", "two"]]);
      reader.close();
    } finally {
      jest.useRealTimers();
    }
  },
);
