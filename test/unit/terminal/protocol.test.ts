import fc from "fast-check";
import { OutputMessages, readMessage, type ServerMessage } from "../../../lib/terminal/protocol";

const read = (message: object) => readMessage(Buffer.from(JSON.stringify(message)), false);

test("stdin is the same bytes, whichever way it is written", () => {
  const bytes = Buffer.from("é🙂\n");
  for (const encoding of [undefined, "utf8", "utf-8"])
    expect(read({ type: "stdin", data: "é🙂\n", encoding })).toEqual({ type: "stdin", bytes });
  expect(read({ type: "stdin", data: bytes.toString("base64"), encoding: "base64" })).toEqual({ type: "stdin", bytes });
  expect(read({ type: "stdin", data: bytes.toString("base64").replace(/=+$/, ""), encoding: "base64" })).toEqual({ type: "stdin", bytes });
});

test.each(["INT", "int", "SIGINT", "sigint"])("the signal INT may be written %s", (name) => {
  expect(read({ type: "signal", name })).toEqual({ type: "signal", name: "INT" });
});

test("whatever comes is a message or an error of the catalogue", () => {
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

/** The messages of an output that comes in these pieces. */
function messagesOf(pieces: Buffer[]): Extract<ServerMessage, { data: string }>[] {
  const output = new OutputMessages("stdout");
  const made = [...pieces.map((piece) => output.push(piece)), output.end()];
  return made.filter((message) => message !== undefined) as never;
}

/** The bytes, cut at these places. */
function cut(bytes: Buffer, places: number[]): Buffer[] {
  const at = [0, ...places.map((place) => place % (bytes.length + 1)).sort((a, b) => a - b), bytes.length];
  return at.slice(1).map((end, index) => bytes.subarray(at[index], end));
}

test("text comes as text wherever it is cut, and no byte of anything is lost", () => {
  fc.assert(
    fc.property(fc.string({ unit: "grapheme" }), fc.array(fc.nat()), (text, places) => {
      const messages = messagesOf(cut(Buffer.from(text), places));
      expect(messages.map(({ encoding }) => encoding)).not.toContain("base64");
      expect(messages.map(({ data }) => data).join("")).toBe(text);
    }),
  );
  fc.assert(
    fc.property(fc.uint8Array(), fc.array(fc.nat()), (bytes, places) => {
      const messages = messagesOf(cut(Buffer.from(bytes), places));
      expect(Buffer.concat(messages.map(({ data, encoding }) => Buffer.from(data, encoding)))).toEqual(Buffer.from(bytes));
    }),
  );
});
