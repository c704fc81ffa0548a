import fc from "fast-check";
import { ChunkedDecoder } from "../../../lib/proxy/http1/chunked-decoder";

/** Spellings of a chunk's size, as RFC 9112, section 7.1, and clients know them. */
const SPELLINGS: ((size: number) => string)[] = [
  (size) => size.toString(16),
  (size) => size.toString(16).toUpperCase(),
  (size) => `000${size.toString(16)}`,
  (size) => size.toString(16).padStart(12, "0"),
  (size) => `${size.toString(16)};name="value"`,
  (size) => `${size.toString(16)} \t`,
];
const chunk = fc.tuple(fc.uint8Array({ minLength: 1, maxLength: 300 }), fc.constantFrom(...SPELLINGS), fc.constantFrom("\r\n", "\n"));

/** Decodes bytes that come in pieces of these lengths, one after the other, the last of which is repeated. */
function decode(wire: Buffer, lengths: number[]) {
  const pieces: Buffer[] = [];
  const decoder = new ChunkedDecoder((bytes) => pieces.push(bytes));
  let used = 0;
  for (let at = 0, piece = 0; at < wire.length && !decoder.done; piece++) {
    const end = at + (lengths[Math.min(piece, lengths.length - 1)] ?? wire.length);
    used += decoder.push(Buffer.from(wire.subarray(at, end)));
    at = end;
  }
  return { body: Buffer.concat(pieces), used, decoder };
}

test("a body is decoded however its chunks are written and its bytes arrive, and what follows it is left", () => {
  const lengths = fc.array(fc.integer({ min: 1, max: 50 }), { minLength: 1 });
  fc.assert(
    fc.property(fc.array(chunk), lengths, fc.uint8Array({ maxLength: 20 }), fc.boolean(), (chunks, pieces, next, hasTrailer) => {
      const lines = chunks.flatMap(([bytes, spell, end]) => [Buffer.from(spell(bytes.length) + end), Buffer.from(bytes), Buffer.from(end)]);
      const end = Buffer.from(`0\r\n${hasTrailer ? "Checksum: 7\r\n" : ""}\r\n`);
      const wire = Buffer.concat([...lines, end]);
      const { body, used, decoder } = decode(Buffer.concat([wire, Buffer.from(next)]), pieces);
      expect(body).toEqual(Buffer.concat(chunks.map(([bytes]) => bytes)));
      expect({ used, done: decoder.done }).toEqual({ used: wire.length, done: true });
      expect(decoder.trailers).toEqual(hasTrailer ? ["Checksum", "7"] : []);
    }),
  );
});

test.each([
  ["a size that is no number", "xyz\r\n"],
  ["a size without digits", "\r\n"],
  ["a negative size", "-1\r\n"],
  ["a size in C's notation", "0x5\r\nhello\r\n"],
  ["a chunk longer than its size", "4\r\nhello\r\n"],
  ["a size of 13 digits", "0000000000005\r\nhello\r\n"],
])("%s is an error, whether its bytes arrive at once or one by one", (_what, wire) => {
  for (const length of [1, wire.length]) expect(() => decode(Buffer.from(wire), [length])).toThrow(/chunk/);
});
