import fc from "fast-check";
import { outputFields, TailBuffer } from "../../../lib/support/tail-buffer";

/** Makes a buffer and pushes these chunks. */
function filledBuffer(limit: number, ...chunks: (string | Uint8Array)[]): TailBuffer {
  const buffer = new TailBuffer(limit);
  for (const chunk of chunks) buffer.push(Buffer.from(chunk as string));
  return buffer;
}

const chunksOf = (maxLength: number) => fc.array(fc.uint8Array({ maxLength }));
const fields = (stdout: TailBuffer, stderr = filledBuffer(100)) => outputFields({ stdout, stderr });

describe("TailBuffer", () => {
  test("a tail buffer keeps the last bytes and reports whether it is truncated", () => {
    fc.assert(
      // A limit from a setting in MB can have a fraction of a byte.
      fc.property(
        fc.integer({ min: 1, max: 30 }),
        fc.constantFrom(0, 0.3, 0.999),
        chunksOf(20),
        chunksOf(20),
        (limit, fraction, chunks, more) => {
          const buffer = filledBuffer(limit + fraction, ...chunks);
          for (const pushed of [chunks, [...chunks, ...more]]) {
            if (pushed !== chunks) for (const chunk of more) buffer.push(Buffer.from(chunk));
            const all = Buffer.concat(pushed);
            expect(buffer.truncated).toBe(all.length > limit);
            for (let times = 0; times < 2; times += 1)
              expect(Buffer.from(buffer.bytes())).toEqual(all.subarray(Math.max(0, all.length - limit)));
            expect(buffer.truncated).toBe(all.length > limit);
          }
        },
      ),
      { numRuns: 500 },
    );
  });

  test("a tail buffer keeps the last bytes while it grows in steps", () => {
    const buffer = new TailBuffer(100_000);
    const all = Buffer.from(Array.from({ length: 300_000 }, (_, index) => (index * index) % 251));
    for (let offset = 0, size = 1; offset < all.length; offset += size, size = (size * 7) % 9973) {
      buffer.push(all.subarray(offset, offset + size));
      if (offset < 100_000 && offset + size > 100_000) expect(buffer.truncated).toBe(true);
    }
    expect(Buffer.compare(buffer.bytes(), all.subarray(200_000))).toBe(0);
  });
});

describe("outputFields", () => {
  test("each stream is returned as text, or as base64 with its encoding", () => {
    const binary = Uint8Array.of(0xff, 0xfe, 0);
    expect(fields(filledBuffer(100, "héllo 𝄞\u0000\r\n"), filledBuffer(100, binary))).toEqual({
      stdout: "héllo 𝄞\u0000\r\n",
      stderr: Buffer.from(binary).toString("base64"),
      stderr_encoding: "base64",
    });
    expect(fields(filledBuffer(100, binary))).toEqual({ stdout: "//4A", stdout_encoding: "base64", stderr: "" });
    expect(fields(filledBuffer(100, "\ufeffa"))).toEqual({ stdout: "\ufeffa", stderr: "" });
  });

  test("truncated is set if either stream was cut", () => {
    expect(fields(filledBuffer(3, "abcd"))).toEqual({ stdout: "bcd", stderr: "", truncated: true });
    expect(fields(filledBuffer(3, "abc"), filledBuffer(3, "abcd"))).toEqual({ stdout: "abc", stderr: "bcd", truncated: true });
    expect(fields(filledBuffer(3, "abc"))).toEqual({ stdout: "abc", stderr: "" });
  });

  test("a cut inside a character drops the rest of that character and leaves text", () => {
    fc.assert(
      fc.property(fc.string({ unit: "grapheme", minLength: 1, maxLength: 30 }), fc.nat(), (text, seed) => {
        const bytes = Buffer.from(text);
        const limit = 1 + (seed % bytes.length);
        const output = fields(filledBuffer(limit, bytes));
        expect(output.stdout_encoding).toBeUndefined();
        expect(text.endsWith(output.stdout as string)).toBe(true);
        expect(Buffer.byteLength(output.stdout as string)).toBeGreaterThan(limit - 4);
      }),
      { numRuns: 500 },
    );
  });

  test("the output fields reproduce any bytes exactly", () => {
    fc.assert(
      fc.property(fc.uint8Array(), (bytes) => {
        const output = fields(filledBuffer(1000, bytes));
        const decoded = Buffer.from(output.stdout as string, output.stdout_encoding === "base64" ? "base64" : "utf8");
        expect(decoded).toEqual(Buffer.from(bytes));
      }),
      { numRuns: 500 },
    );
  });

  test("truncated binary output stays binary and keeps its last bytes", () => {
    const output = fields(filledBuffer(4, Uint8Array.of(1, 2, 3, 0xff, 0xc0, 9)));
    expect(output).toMatchObject({ stdout_encoding: "base64", truncated: true });
    expect(Buffer.from(output.stdout as string, "base64").toString("hex")).toBe("03ffc009");
  });
});
