import fc from "fast-check";
import { SmallPieces } from "../../../lib/proxy/small-pieces";

beforeEach(() => jest.useFakeTimers());
afterEach(() => jest.useRealTimers());

/** Collects what is sent. */
function collect(): { sent: string[]; pieces: SmallPieces } {
  const sent: string[] = [];
  return { sent, pieces: new SmallPieces((bytes) => sent.push(bytes.toString())) };
}

test("single pieces are sent at once, and those of a long row together after a millisecond", () => {
  const { sent, pieces } = collect();
  pieces.push(Buffer.from("first "));
  expect(sent).toEqual(["first "]);
  for (let pushed = 0; pushed < 100; pushed++) pieces.push(Buffer.from("."));
  expect(sent.length).toBeLessThan(20);
  jest.advanceTimersByTime(1);
  expect(sent.length).toBeLessThan(21);
  expect(sent.join("")).toBe(`first ${".".repeat(100)}`);
});

test("a row ends with a pause: the next piece is sent at once", () => {
  const { sent, pieces } = collect();
  for (let pushed = 0; pushed < 100; pushed++) pieces.push(Buffer.from("."));
  jest.advanceTimersByTime(5);
  pieces.push(Buffer.from("after"));
  expect(sent.at(-1)).toBe("after");
});

test("all bytes are sent in their order, whatever their sizes and times", () => {
  const piece = fc.record({ size: fc.constantFrom(0, 1, 100, 5000), pauseMs: fc.constantFrom(0, 0, 0, 0, 0, 0, 0, 1, 3) });
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 200 }), (row) => {
      const { sent, pieces } = collect();
      let expected = "";
      for (const [index, { size, pauseMs }] of row.entries()) {
        const text = String.fromCharCode(97 + (index % 26)).repeat(size);
        expected += text;
        pieces.push(Buffer.from(text));
        jest.advanceTimersByTime(pauseMs);
      }
      pieces.flush();
      expect(sent.join("")).toBe(expected);
    }),
  );
});

test("nothing is sent after a drop", () => {
  const { sent, pieces } = collect();
  for (let pushed = 0; pushed < 100; pushed++) pieces.push(Buffer.from("."));
  const before = sent.length;
  pieces.drop();
  jest.advanceTimersByTime(5);
  pieces.flush();
  expect(sent.length).toBe(before);
});
