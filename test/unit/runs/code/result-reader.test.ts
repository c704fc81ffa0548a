import fc from "fast-check";
import { Demand } from "../../../../lib/runs/code/demand";
import { ResultReader } from "../../../../lib/runs/code/result-reader";

/** What a reader answers to each of these pieces. */
const read = (pieces: Buffer[]) => {
  const reader = new ResultReader();
  return pieces.map((piece) => reader.push(piece));
};
const split = (bytes: Buffer, cuts: number[]) => {
  const places = [0, ...cuts.map((cut) => cut % (bytes.length + 1)).sort((a, b) => a - b), bytes.length];
  return places.slice(1).map((to, index) => bytes.subarray(places[index], to));
};
const anyObject = fc.dictionary(fc.string({ unit: "binary" }), fc.jsonValue({ stringUnit: "binary" }));
const indent = fc.constantFrom(undefined, 2, "\t");
const cuts = fc.array(fc.nat());

describe("the object that a program writes", () => {
  test("is found as it was written, however it is split, with its last byte and not before", () => {
    fc.assert(
      fc.property(anyObject, indent, cuts, fc.constantFrom("", "\n", " \r\n\t"), (value, space, at, before) => {
        const text = JSON.stringify(value, null, space);
        const bytes = Buffer.from(before + text);
        const answers = read([...split(bytes.subarray(0, -1), at), bytes.subarray(-1)]);
        expect(answers.pop()).toBe(text);
        expect(answers.every((answer) => answer === undefined)).toBe(true);
      }),
    );
  });

  test("is the same whatever follows it", () => {
    fc.assert(
      fc.property(anyObject, fc.uint8Array(), cuts, (value, after, at) => {
        const text = JSON.stringify(value);
        expect(read(split(Buffer.concat([Buffer.from(text), after]), at)).find(Boolean)).toBe(text);
      }),
    );
  });

  test("isn't there if what comes is none, however it is split", () => {
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

  test.each(["x{}", "[{}]", "1", '"{}"', "null {}", "{'a':1}", "{]}", "}{}"])("isn't found in %j, nor after it", (text) => {
    expect(read([Buffer.from(text), Buffer.from("{}")])).toEqual([undefined, undefined]);
  });

  test("takes no longer to be looked for when every byte looks like its end", () => {
    const reader = new ResultReader();
    reader.push(Buffer.from('{"a":"'));
    const brace = Buffer.from("}");
    let early = 0;
    for (let count = 0; count < 200_000; count += 1) if (reader.push(brace) !== undefined) early += 1;
    expect(early).toBe(0);
    expect(reader.push(Buffer.from('"}'))).toHaveLength(200_008);
  });
});

describe("demand", () => {
  const at = (time: { now: number }) => new Demand(() => time.now);

  test("is the most runs at a time of the last minute, then none", () => {
    const time = { now: 0 };
    const demand = at(time);
    const ends = [demand.beginRun(), demand.beginRun(), demand.beginRun()];
    time.now = 5000;
    for (const end of ends) end();
    expect(demand.recentPeak).toBe(3);
    time.now = 31_000;
    demand.beginRun();
    expect(demand.recentPeak).toBe(3);
    time.now = 61_000;
    expect(demand.recentPeak).toBe(1);
    time.now = 300_000;
    expect([demand.recentPeak, demand.idleMs]).toEqual([1, 269_000]);
  });
});
