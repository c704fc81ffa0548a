import fc from "fast-check";
import { decodeRecord, encodeRecord, type NodeRecord } from "../../../../lib/cluster/membership/record";
import { Signatures } from "../../../../lib/cluster/rpc/signatures";
import { recordOf } from "../../../support/unit/cluster-parts";

const signatures = new Signatures(["key"]);
const decode = (stored: string) => decodeRecord(stored, signatures);
/** Validly signed, even if the record is invalid. */
const signed = (record: unknown) => encodeRecord(record as NodeRecord, signatures);

const finite = fc.double({ noNaN: true, noDefaultInfinity: true }).map((number) => (Object.is(number, -0) ? 0 : number));
const text = (maxLength: number) => fc.string({ unit: "grapheme", maxLength }).filter(({ length }) => length <= maxLength);
const address = fc
  .tuple(fc.constantFrom("http", "https"), fc.oneof(fc.domain(), fc.ipV4()), fc.integer({ min: 1, max: 65535 }))
  .map(([scheme, host, port]) => `${scheme}://${host}:${port}`);
const anyRecord: fc.Arbitrary<NodeRecord> = fc.record({
  name: fc.stringMatching(/^[!-+\--~]{1,300}$/),
  url: address,
  sequence: finite,
  process: text(64),
  version: text(64),
  docker: fc.option(text(64)),
  engine: fc.constantFrom("ok", "down"),
  containers: finite,
  runs: fc.record({ running: finite, waiting: finite }),
  load: finite,
});

test("any valid record is read as it was published", () => {
  fc.assert(fc.property(anyRecord, (record) => expect(decode(encodeRecord(record, signatures))).toEqual(record)));
});

test("the shares of CPU and memory in use are read too, if a node tells them", () => {
  const record = { ...recordOf("n1"), cpu: 0.5, memory: 0.25 };
  expect(decode(encodeRecord(record, signatures))).toEqual(record);
});

test.each(["", "two words", "a,b", "Zürich", "line\nbreak", "x".repeat(301)])(
  "the name %j, which does not fit into a header list, is refused",
  (name) => {
    expect(() => decode(signed({ ...recordOf("n1"), name }))).toThrow();
  },
);

test.each(["http://10.0.0.1:80", "https://[fd00::1]:8443", "http://n1"])("the address %s is accepted", (url) => {
  expect(decode(signed(recordOf("n1", { url }))).url).toBe(url);
});

test("a record cut at any place is refused", () => {
  const whole = signed(recordOf("n1"));
  for (let length = 0; length < whole.length; length += 1) {
    expect(() => decode(whole.slice(0, length))).toThrow();
    expect(() => decode(whole.slice(whole.length - length))).toThrow();
  }
});

test("a record with any one character altered is refused", () => {
  const whole = signed(recordOf("n1"));
  fc.assert(
    fc.property(fc.nat({ max: whole.length - 1 }), fc.string({ minLength: 1, maxLength: 1 }), (place, other) => {
      fc.pre(whole[place] !== other);
      expect(() => decode(whole.slice(0, place) + other + whole.slice(place + 1))).toThrow();
    }),
  );
});

test("a record that is unsigned, or signed with another key or purpose, is refused", () => {
  const record = JSON.stringify(recordOf("n1"));
  const other = new Signatures(["other"]);
  expect(() => decode(record)).toThrow();
  expect(() => decode(JSON.stringify({ record }))).toThrow();
  for (const signature of ["", other.sign("record", record), signatures.sign("request", record)])
    expect(() => decode(JSON.stringify({ record, signature }))).toThrow("signature");
});

test("text that is no record is refused with a reason", () => {
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.json()), (stored) => {
      expect(() => decode(stored)).toThrow(/./);
    }),
  );
});

test("a record that is too long is refused before it is parsed", () => {
  expect(() => decode(signed({ ...recordOf("n1"), padding: "x".repeat(10_000) }))).toThrow("too long");
  expect(() => decode(`${signed(recordOf("n1"))}${" ".repeat(10_000)}`)).toThrow("too long");
});

test.each([
  "ftp://n1",
  "file:///etc/passwd",
  "javascript:alert(1)",
  "unix:///var/run/docker.sock",
  "ws://n1",
  "httpx://n1",
  "n1:8080",
  "//n1",
  "",
  "http://",
  "http://user:password@n1",
  "http://user@n1",
  "http://n1\\@n2",
  "http://n1?token=x",
  "http://n1#x",
])("a signed record of the address %j is refused", (url) => {
  expect(() => decode(signed(recordOf("n1", { url })))).toThrow();
});

test.each(["javascript:alert(1)", "https://user@n1", "https://n1/console", "https://n1/", "ws://n1", "n1", ""])(
  "a signed record of the public URL %j, which is no origin of pages, is refused",
  (public_url) => {
    expect(() => decode(signed(recordOf("n1", { public_url })))).toThrow();
  },
);

test("a record has a public URL, or none as before there was any", () => {
  for (const more of [{ public_url: "https://node-1.example.org" }, {}])
    expect(decode(signed(recordOf("n1", more)))).toEqual(recordOf("n1", more));
});

test.each<[string, unknown]>([
  ["name", ""],
  ["name", "n".repeat(301)],
  ["name", ["n1"]],
  ["sequence", "1"],
  ["sequence", Number.NaN],
  ["process", "p".repeat(65)],
  ["version", "v".repeat(65)],
  ["docker", "d".repeat(65)],
  ["docker", 20],
  ["engine", "maybe"],
  ["containers", null],
  ["load", Number.POSITIVE_INFINITY],
])("a signed record whose %s is %j is refused", (field, value) => {
  expect(() => decode(signed({ ...recordOf("n1"), [field]: value }))).toThrow();
});

test.each(Object.keys(recordOf("n1")))("a signed record without its %s is refused", (field) => {
  expect(() => decode(signed({ ...recordOf("n1"), [field]: undefined }))).toThrow();
});

test("a __proto__ in a record is ignored", () => {
  const { name, ...nameless } = recordOf("n1");
  const text = (fields: object, proto: string) => `${JSON.stringify(fields).slice(0, -1)},"__proto__":${proto}}`;
  const store = (record: string) => JSON.stringify({ record, signature: signatures.sign("record", record) });
  expect(() => decode(store(text(nameless, `{"name":"${name}"}`)))).toThrow();
  const read = decode(store(text(recordOf("n1"), `{"admin":true}`)));
  expect(read).toEqual(recordOf("n1"));
  expect("admin" in read || "admin" in {}).toBe(false);
});
