import { Readable } from "node:stream";
import fc from "fast-check";
import { collectOutput } from "../../../../lib/docker/containers/collect-output";
import { FrameParser, framesOf } from "../../../../lib/docker/containers/stream-frames";
import { watchOutput } from "../../../../lib/runs/run-limits";

type Name = "stdout" | "stderr";
const METHODS = ["push", "pushJoined"] as const;
type Method = (typeof METHODS)[number];
const KINDS = { stdin: 0, stdout: 1, stderr: 2 };

function frame(kind: number, data: Uint8Array): Buffer {
  const header = Buffer.alloc(8);
  header[0] = kind;
  header.writeUInt32BE(data.length, 4);
  return Buffer.concat([header, data]);
}

/** Parses chunks into the data of each stream and the order of the streams. */
function parsed(chunks: Buffer[], tty = false, method: Method = "push") {
  const parser = new FrameParser(tty);
  const frames = chunks.flatMap((chunk) => [...parser[method](chunk)]);
  const of = (name: Name) => Buffer.concat(frames.filter((each) => each.stream === name).map((each) => each.data));
  const order = frames.map((each) => each.stream).filter((name, index, all) => name !== all[index - 1]);
  return { stdout: of("stdout"), stderr: of("stderr"), order };
}

/** Splits bytes at these offsets. */
function cut(bytes: Buffer, places: number[]): Buffer[] {
  const ends = [...new Set(places.map((place) => place % (bytes.length + 1)))].sort((a, b) => a - b);
  return [...ends, bytes.length].map((end, index) => bytes.subarray(index === 0 ? 0 : ends[index - 1], end));
}

const sent = fc.array(
  fc.record({
    name: fc.constantFrom<Name>("stdout", "stderr"),
    data: fc.oneof(fc.uint8Array({ maxLength: 40 }), fc.constant(new Uint8Array(0))),
  }),
);

test.each(METHODS)("%s: each stream has the same data in the same order for all chunk boundaries", (method) => {
  fc.assert(
    fc.property(sent, fc.array(fc.nat(), { maxLength: 30 }), (frames, places) => {
      const bytes = Buffer.concat(frames.map((each) => frame(KINDS[each.name], each.data)));
      const of = (name: Name) => Buffer.concat(frames.filter((each) => each.name === name).map((each) => each.data));
      const order = frames.filter((each) => each.data.length > 0).map((each) => each.name);
      const expected = { stdout: of("stdout"), stderr: of("stderr"), order: order.filter((name, index) => name !== order[index - 1]) };
      expect(parsed(cut(bytes, places), false, method)).toEqual(expected);
      expect(
        parsed(
          [...bytes].map((byte) => Buffer.of(byte)),
          false,
          method,
        ),
      ).toEqual(expected);
    }),
    { numRuns: 300 },
  );
});

test("joined, frames of one stream that follow each other are one piece, and the chunk stays as it was", () => {
  const chunk = Buffer.concat([
    frame(1, Buffer.from("a")),
    frame(0, Buffer.from("b")),
    frame(2, Buffer.from("c")),
    frame(1, Buffer.from("d")),
  ]);
  const before = Buffer.from(chunk);
  const pieces = [...new FrameParser(false).pushJoined(chunk)].map(({ stream, data }) => [stream, data.toString()]);
  expect(pieces).toEqual([
    ["stdout", "ab"],
    ["stderr", "c"],
    ["stdout", "d"],
  ]);
  expect(chunk).toEqual(before);
});

test("data that looks like a header is not parsed as one", () => {
  const inner = frame(2, Buffer.from("x"));
  expect(parsed([frame(1, inner)])).toEqual({ stdout: inner, stderr: Buffer.alloc(0), order: ["stdout"] });
});

test.each(METHODS)("%s: a frame of 3 GB is passed on without buffering", (method) => {
  const header = Buffer.alloc(8);
  header[0] = 1;
  header.writeUInt32BE(3_000_000_000, 4);
  const parser = new FrameParser(false);
  expect([...parser[method](header)]).toEqual([]);
  const chunk = Buffer.alloc(65_536, 7);
  for (let times = 0; times < 3; times += 1) expect([...parser[method](chunk)]).toEqual([{ stream: "stdout", data: chunk }]);
});

test("a frame of standard input counts as standard output, and an incomplete header is ignored", () => {
  expect(parsed([frame(KINDS.stdin, Buffer.from("a")), Buffer.of(1, 0, 0)])).toMatchObject({ stdout: Buffer.from("a"), order: ["stdout"] });
});

test("bytes of a terminal are unchanged", () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ minLength: 1 })), (chunks) => {
      const bytes = chunks.map((chunk) => Buffer.from(chunk));
      expect(parsed(bytes, true)).toMatchObject({ stdout: Buffer.concat(bytes), stderr: Buffer.alloc(0) });
    }),
  );
});

describe("output that always has more lets other work of this process run", () => {
  const readers: [string, (stream: Readable) => Promise<unknown>][] = [
    [
      "framesOf",
      async (stream) => {
        for await (const _ of framesOf(stream, false));
      },
    ],
    ["collectOutput", (stream) => collectOutput(stream, false, 1000, new AbortController().signal)],
    ["watchOutput", (stream) => watchOutput(stream, Number.MAX_SAFE_INTEGER, new AbortController())],
  ];

  test.each(readers)("%s", async (_name, read) => {
    let otherWorkHasRun = false;
    const timer = setTimeout(() => {
      otherWorkHasRun = true;
    });
    const chunk = Buffer.concat(Array.from({ length: 100 }, () => frame(KINDS.stdout, Buffer.from("x"))));
    async function* output() {
      for (let count = 0; count < 20_000 && !otherWorkHasRun; count += 1) yield chunk;
    }
    await read(Readable.from(output()));
    clearTimeout(timer);
    expect(otherWorkHasRun).toBe(true);
  });
});

test.each(METHODS)("%s: the engine's own error is thrown after the data before it, for all chunk boundaries", (method) => {
  const bytes = Buffer.concat([frame(KINDS.stdout, Buffer.from("data")), frame(3, Buffer.from("Error grabbing logs: bad file\n"))]);
  for (let place = 1; place < bytes.length; place += 1) {
    const parser = new FrameParser(false);
    const received: string[] = [];
    const read = () => {
      for (const chunk of cut(bytes, [place])) for (const { data } of parser[method](chunk)) received.push(data.toString());
    };
    expect(read).toThrow(
      expect.objectContaining({ code: "ENGINE_ERROR", message: expect.stringContaining("Error grabbing logs: bad file") }),
    );
    expect(received.join("")).toBe("data");
  }
});
