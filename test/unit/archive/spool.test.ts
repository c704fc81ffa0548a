import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { Readable } from "node:stream";
import { buffer } from "node:stream/consumers";
import fc from "fast-check";
import { Spool } from "../../../lib/archive/spool";

const LIMIT = 10_000_000;
const noise = randomBytes(6_000_000);

function piecesOf(sizes: readonly number[]): Buffer[] {
  const sent: Buffer[] = [];
  let at = 0;
  for (const size of sizes) {
    if (at >= noise.length) break;
    sent.push(noise.subarray(at, at + size));
    at += size;
  }
  return sent;
}

describe("Spool", () => {
  test("reads return the written bytes, also during writing, for any chunking", async () => {
    const pieces = fc.array(fc.oneof(fc.integer({ min: 1, max: 100 }), fc.integer({ min: 1, max: 2_500_000 })), {
      minLength: 1,
      maxLength: 300,
    });
    await fc.assert(
      fc.asyncProperty(pieces, fc.nat(), fc.nat(), async (sizes, one, other) => {
        const sent = piecesOf(sizes);
        const whole = Buffer.concat(sent);
        const [start, end] = [one % whole.length, other % whole.length].sort((a, b) => a - b) as [number, number];
        const spool = Spool.create();
        try {
          const part = Buffer.alloc(200_000);
          const [streamed, read] = await Promise.all([
            buffer(spool.createReadStream(start, end)),
            spool.readAt(part, start),
            spool.fill(Readable.from(sent, { objectMode: true }), LIMIT),
          ]);
          expect(streamed.equals(whole.subarray(start, end + 1))).toBe(true);
          expect(part.subarray(0, read).equals(whole.subarray(start, start + part.length))).toBe(true);
          expect(spool.size).toBe(whole.length);
        } finally {
          await spool.close();
        }
      }),
      { numRuns: 50 },
    );
  });

  test("reads of bytes that never arrive fail", async () => {
    const tooMuch = Spool.create();
    const waiting = [tooMuch.readAt(Buffer.alloc(10), 2_000_000), buffer(tooMuch.createReadStream(2_000_000, 2_000_010))];
    const rejections = Promise.all(waiting.map((each) => expect(each).rejects.toThrow()));
    await expect(tooMuch.fill(Readable.from([noise]), 1_000_000)).rejects.toMatchObject({ code: "CONTENT_TOO_LARGE" });
    await rejections;
    await tooMuch.close();

    const unused = Spool.create();
    const closed = expect(unused.readAt(Buffer.alloc(10), 0)).rejects.toThrow();
    await unused.close();
    await closed;
  });

  test("filling from a destroyed stream fails", async () => {
    const spool = Spool.create();
    const source = new Readable({ read: () => undefined });
    source.destroy();
    await once(source, "close");
    await expect(spool.fill(source, LIMIT)).rejects.toThrow();
    await spool.close();
  });
});
