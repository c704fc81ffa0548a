import fc from "fast-check";
import { parseStrictJson } from "../../../../lib/docker-api/bodies/strict-json";

const parse = (text: string | Buffer) => parseStrictJson(Buffer.from(text));
const refusal = expect.objectContaining({ code: "INVALID_BODY", status: 400 });

test("any JSON value is read as JSON.parse reads it", () => {
  fc.assert(
    fc.property(fc.jsonValue({ maxDepth: 5, stringUnit: "grapheme" }), (value) => {
      const text = JSON.stringify(value, (_key, each) => (typeof each === "number" ? Math.trunc(each) % 1e15 : each));
      fc.pre(!text.includes("\\u0000"));
      expect(parse(text)).toEqual(JSON.parse(text));
    }),
  );
});

test.each([
  '{"a":1,"a":2}',
  '{"a":1,"\\u0061":2}',
  '{"x":[{"b":{"k":1,"y":[],"k":1}}]}',
  '{"__proto__":1,"__proto__":2}',
  '{"a":"}","a":1}',
  '{"a":"\\"","a":1}',
])("a key that comes twice is refused: %s", (text) => {
  expect(() => parse(text)).toThrow(refusal);
});

test.each(['{"a":{"a":1},"b":["a","a"],"c":"a"}', '[{"a":1},{"a":1}]', '{"a":",\\"a\\":","b":1}'])(
  "a key may come again in another object, or as a value: %s",
  (text) => {
    expect(parse(text)).toEqual(JSON.parse(text));
  },
);

test.each([
  "9007199254740993",
  '{"Memory":9007199254740992}',
  '{"Memory":-9007199254740993}',
  "[1e400]",
  '{"a":1}{"b":2}',
  '{"a":1} x',
  '{"a":1,}',
  '{"a":/**/1}',
  '{"a":NaN}',
  "{'a':1}",
  "",
  '\ufeff{"a":1}',
  '{"a":"\\u0000"}',
  '{"a\\u0000":1}',
  '{"a":"\\ud800"}',
  '{"a":"\\udc00\\ud800"}',
  "[".repeat(100) + "]".repeat(100),
])("%j is refused", (text) => {
  expect(() => parse(text)).toThrow(refusal);
});

test("bytes that aren't UTF-8 are refused", () => {
  for (const bytes of [[0xff], [0xc0, 0x80], [0xed, 0xa0, 0x80], [0xf4, 0x90, 0x80, 0x80], [0xe2, 0x82]])
    expect(() => parse(Buffer.concat([Buffer.from('{"a":"'), Buffer.from(bytes), Buffer.from('"}')]))).toThrow(refusal);
});

test("the largest exact integers are read", () => {
  expect(parse("[9007199254740991,-9007199254740991,1.5,-0,1e3]")).toEqual([9007199254740991, -9007199254740991, 1.5, -0, 1000]);
});

test("a text of 4 MB is read", () => {
  const long = "\\n".repeat(2_000_000);
  expect((parse(`{"a":"${long}"}`) as { a: string }).a).toHaveLength(2_000_000);
});
