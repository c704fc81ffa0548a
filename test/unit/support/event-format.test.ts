import fc from "fast-check";
import { EVENT_FORMATS, formatEvent, parseEvents } from "../../../lib/support/event-format";

async function* inPieces(bytes: Buffer, cuts: number[]): AsyncGenerator<Buffer> {
  const places = [...new Set(cuts.map((cut) => cut % (bytes.length + 1)))].sort((a, b) => a - b);
  let from = 0;
  for (const place of [...places, bytes.length]) {
    yield bytes.subarray(from, place);
    from = place;
  }
}

test.each(EVENT_FORMATS)("events formatted as %s are parsed unchanged from any chunks", async (format) => {
  const data = fc.dictionary(
    fc.string().filter((key) => key !== "event" && key !== "__proto__"),
    fc.oneof(fc.string({ unit: "binary" }), fc.integer()),
  );
  const event = fc.record({ event: fc.constantFrom("progress", "result", "error"), data });
  await fc.assert(
    fc.asyncProperty(fc.array(event, { maxLength: 5 }), fc.array(fc.nat()), async (events, cuts) => {
      const texts = events.map((each) => formatEvent(format, each.event, each.data));
      const seen = [];
      for await (const each of parseEvents(format, inPieces(Buffer.from(texts.join("")), cuts))) seen.push(each);
      expect(JSON.stringify(seen)).toBe(JSON.stringify(events.map((each, index) => ({ text: texts[index], ...each }))));
    }),
  );
});

test("comments between events are skipped", async () => {
  const text = `: it goes on\n\n${formatEvent("text/event-stream", "result", { a: 1 })}`;
  const seen = [];
  for await (const { event, data } of parseEvents("text/event-stream", inPieces(Buffer.from(text), []))) seen.push({ event, data });
  expect(seen).toEqual([{ event: "result", data: { a: 1 } }]);
});
