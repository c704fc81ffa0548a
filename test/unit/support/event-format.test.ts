import fc from "fast-check";
import { EVENT_FORMATS, formatEvent, parseEvents } from "../../../lib/support/event-format";

/** Splits the bytes at these offsets. */
async function* inChunks(bytes: Buffer, cuts: number[]): AsyncGenerator<Buffer> {
  const offsets = [...new Set(cuts.map((cut) => cut % (bytes.length + 1)))].sort((a, b) => a - b);
  let start = 0;
  for (const end of [...offsets, bytes.length]) {
    yield bytes.subarray(start, end);
    start = end;
  }
}

describe("event format", () => {
  test.each(EVENT_FORMATS)("events formatted as %s are parsed unchanged from any chunks", async (format) => {
    const data = fc.dictionary(
      fc.string().filter((key) => key !== "event" && key !== "__proto__"),
      fc.oneof(fc.string({ unit: "binary" }), fc.integer()),
    );
    const event = fc.record({ event: fc.constantFrom("progress", "result", "error"), data });
    await fc.assert(
      fc.asyncProperty(fc.array(event, { maxLength: 5 }), fc.array(fc.nat()), async (events, cuts) => {
        const texts = events.map(({ event, data }) => formatEvent(format, event, data));
        const parsed = [];
        for await (const each of parseEvents(format, inChunks(Buffer.from(texts.join("")), cuts))) parsed.push(each);
        expect(JSON.stringify(parsed)).toBe(JSON.stringify(events.map((each, index) => ({ text: texts[index], ...each }))));
      }),
    );
  });

  test("comments between events are skipped", async () => {
    const text = `: it goes on\n\n${formatEvent("text/event-stream", "result", { a: 1 })}`;
    const parsed = [];
    for await (const { event, data } of parseEvents("text/event-stream", inChunks(Buffer.from(text), []))) parsed.push({ event, data });
    expect(parsed).toEqual([{ event: "result", data: { a: 1 } }]);
  });
});
