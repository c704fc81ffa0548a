import fc from "fast-check";
import { hasLongText, jsonPieces } from "../../../lib/http/json-pieces";

const LONG = 250_000;

describe("jsonPieces", () => {
  test("the pieces are the JSON of the value, whatever characters are where a text is split", () => {
    const filler = fc.constantFrom("a", "\u0001", "é", "😀", '"\\', "\ud800");
    fc.assert(
      fc.property(fc.jsonValue(), filler, fc.nat(3), (value, text, shift) => {
        const long = "x".repeat(shift) + text.repeat(LONG / text.length);
        const body = { value, long, list: [value, { long, none: undefined, at: new Date(0) }, null] };
        expect([...jsonPieces(body)].join("")).toBe(JSON.stringify(body));
      }),
      { numRuns: 30 },
    );
  });

  test("no piece is of more than 100,000 characters of a text", () => {
    const lengths = [...jsonPieces({ stdout: "a".repeat(LONG), stderr: "b".repeat(LONG) })].map(({ length }) => length);
    expect(Math.max(...lengths)).toBeLessThanOrEqual(100_001);
  });

  test("short values are recognized", () => {
    expect([hasLongText({ a: ["x"], b: null }), hasLongText({ a: [{ b: "x".repeat(LONG) }] })]).toEqual([false, true]);
  });
});
