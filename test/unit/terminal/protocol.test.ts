import fc from "fast-check";
import { OutputMessages, readMessage, type ServerMessage } from "../../../lib/terminal/protocol";

const read = (message: object) => readMessage(Buffer.from(JSON.stringify(message)), false);

describe("readMessage", () => {
  test("stdin as utf8, utf-8, base64 and without encoding gives the same bytes", () => {
    const bytes = Buffer.from("é🙂\n");
    for (const encoding of [undefined, "utf8", "utf-8"])
      expect(read({ type: "stdin", data: "é🙂\n", encoding })).toEqual({ type: "stdin", bytes });
    expect(read({ type: "stdin", data: bytes.toString("base64"), encoding: "base64" })).toEqual({ type: "stdin", bytes });
    expect(read({ type: "stdin", data: bytes.toString("base64").replace(/=+$/, ""), encoding: "base64" })).toEqual({
      type: "stdin",
      bytes,
    });
  });

  test.each(["INT", "int", "SIGINT", "sigint"])("the signal INT is accepted as %s", (name) => {
    expect(read({ type: "signal", name })).toEqual({ type: "signal", name: "INT" });
  });

  test("any frame is either a message or a validation error", () => {
    const frames = fc.oneof(
      fc.uint8Array(),
      fc.json().map(Buffer.from),
      fc
        .record({ type: fc.constantFrom("stdin", "resize", "signal"), data: fc.json(), cols: fc.integer(), name: fc.string() })
        .map((each) => Buffer.from(JSON.stringify(each))),
    );
    fc.assert(
      fc.property(frames, fc.boolean(), (frame, isBinary) => {
        try {
          expect(["stdin", "resize", "signal", "close"]).toContain(readMessage(Buffer.from(frame), isBinary).type);
        } catch (error) {
          expect(error).toMatchObject({ name: "AppError", kind: "validation_error" });
        }
      }),
    );
  });
});

/** The messages for an output that arrives in these chunks. */
function messagesOf(pieces: Buffer[]): Extract<ServerMessage, { data: string }>[] {
  const output = new OutputMessages("stdout");
  const made = [...pieces.map((piece) => output.push(piece)), output.end()];
  return made.filter((message) => message !== undefined) as never;
}

/** The bytes, split at these positions. */
function split(bytes: Buffer, positions: number[]): Buffer[] {
  const at = [0, ...positions.map((position) => position % (bytes.length + 1)).sort((a, b) => a - b), bytes.length];
  return at.slice(1).map((end, index) => bytes.subarray(at[index], end));
}

describe("OutputMessages", () => {
  test("output is text however it is split, and no byte is lost", () => {
    fc.assert(
      fc.property(fc.string({ unit: "grapheme" }), fc.array(fc.nat()), (text, positions) => {
        const messages = messagesOf(split(Buffer.from(text), positions));
        expect(messages.map(({ encoding }) => encoding)).not.toContain("base64");
        expect(messages.map(({ data }) => data).join("")).toBe(text);
      }),
    );
    fc.assert(
      fc.property(fc.uint8Array(), fc.array(fc.nat()), (bytes, positions) => {
        const messages = messagesOf(split(Buffer.from(bytes), positions));
        expect(Buffer.concat(messages.map(({ data, encoding }) => Buffer.from(data, encoding)))).toEqual(Buffer.from(bytes));
      }),
    );
  });
});
