import fc from "fast-check";
import { ResultReader } from "../../../../lib/runs/code/result-reader";

/** Pushes chunks into a new reader and returns its result after each. */
const read = (chunks: Buffer[]) => {
  const reader = new ResultReader();
  return chunks.map((chunk) => reader.push(chunk));
};
const split = (bytes: Buffer, cuts: number[]) => {
  const offsets = [0, ...cuts.map((cut) => cut % (bytes.length + 1)).sort((a, b) => a - b), bytes.length];
  return offsets.slice(1).map((to, index) => bytes.subarray(offsets[index], to));
};
const anyObject = fc.dictionary(fc.string({ unit: "binary" }), fc.jsonValue({ stringUnit: "binary" }));
const indent = fc.constantFrom(undefined, 2, "\t");
const cuts = fc.array(fc.nat());

describe("ResultReader", () => {
  test("returns the object unchanged with its last byte, for any chunking", () => {
    fc.assert(
      fc.property(anyObject, indent, cuts, fc.constantFrom("", "\n", " \r\n\t"), (value, space, at, before) => {
        const text = JSON.stringify(value, null, space);
        const bytes = Buffer.from(before + text);
        const results = read([...split(bytes.subarray(0, -1), at), bytes.subarray(-1)]);
        expect(results.pop()).toBe(text);
        expect(results.every((result) => result === undefined)).toBe(true);
      }),
    );
  });

  test("ignores anything after the object", () => {
    fc.assert(
      fc.property(anyObject, fc.uint8Array(), cuts, (value, after, at) => {
        const text = JSON.stringify(value);
        expect(read(split(Buffer.concat([Buffer.from(text), after]), at)).find(Boolean)).toBe(text);
      }),
    );
  });

  test("returns nothing if the output isn't an object, for any chunking", () => {
    const isObject = (text: string) => {
      try {
        return text.trim().startsWith("{") && typeof JSON.parse(text) === "object";
      } catch {
        return false;
      }
    };
    const nearly = fc.string({ unit: fc.constantFrom("{", "}", '"', "\\", ":", ",", "[", "]", "1", "a", " ") });
    fc.assert(
      fc.property(nearly, cuts, (text, at) => {
        const found = read(split(Buffer.from(text), at)).find(Boolean);
        const begins = Array.from(text, (_, end) => text.slice(0, end + 1).trim()).find(isObject);
        expect(found).toBe(begins);
      }),
      { numRuns: 2000 },
    );
  });

  test.each(["x{}", "[{}]", "1", '"{}"', "null {}", "{'a':1}", "{]}", "}{}"])("finds no object in %j or after it", (text) => {
    expect(read([Buffer.from(text), Buffer.from("{}")])).toEqual([undefined, undefined]);
  });

  test("reads output in linear time if every byte looks like the end", () => {
    const reader = new ResultReader();
    reader.push(Buffer.from('{"a":"'));
    const brace = Buffer.from("}");
    let early = 0;
    for (let count = 0; count < 200_000; count += 1) if (reader.push(brace) !== undefined) early += 1;
    expect(early).toBe(0);
    expect(reader.push(Buffer.from('"}'))).toHaveLength(200_008);
  });
});
