import { once } from "node:events";
import type { AddressInfo } from "node:net";
import express from "express";
import fc from "fast-check";
import { z } from "zod";
import { bodyParsers } from "../../../lib/http/body";
import { command, flag, integer, list, map, matching, number, scalar, text } from "../../../lib/http/fields";
import { readInput } from "../../../lib/http/input";

const schema = z
  .object({
    flag: flag.default(false),
    text: text.optional(),
    number: number(0.5, 10).optional(),
    integer: integer(-1, 10).optional(),
    scalar: scalar.optional(),
    map: map(matching(/^[A-Z0-9/]+$/i, "must be letters"), scalar).optional(),
    list: list(matching(/^[A-Z]+$/, "must be capitals")).optional(),
    command: command.optional(),
  })
  .strict();

const read = (value: object) => readInput(schema, value) as Record<string, unknown>;
const refused = (code: string, message: string, field: string) =>
  expect.objectContaining({ status: 400, clientCode: code, message, details: expect.objectContaining({ field }) });

/** A server that reads bodies with the real middleware, for the tests of forms. */
let url: string;
let close: () => void;
beforeAll(async () => {
  const app = express();
  app.put("/", ...bodyParsers(100_000), (request, response) => {
    response.json(read(request.body));
  });
  app.use(((error, _request, response, _next) => {
    response.status(error.status ?? 500).json({ code: error.clientCode, message: error.message });
  }) as express.ErrorRequestHandler);
  const server = app.listen(0, "127.0.0.1");
  await once(server, "listening");
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  close = () => server.close();
});
afterAll(() => close());

async function form(body: string): Promise<Record<string, unknown>> {
  const headers = { "Content-Type": "application/x-www-form-urlencoded" };
  return (await (await fetch(url, { method: "PUT", headers, body })).json()) as Record<string, unknown>;
}

describe("field schemas", () => {
  test.each([
    ["true", true],
    ["1", true],
    ["yes", true],
    ["on", true],
    ["false", false],
    ["0", false],
    ["no", false],
    ["off", false],
    ["", false],
  ])("flag=%s in a form is %s", async (word, value) => {
    expect(await form(`flag=${word}`)).toEqual({ flag: value });
  });

  test("a flag in JSON is a boolean and nothing else", () => {
    expect([read({ flag: true }).flag, read({ flag: false }).flag, read({}).flag]).toEqual([true, false, false]);
    for (const value of ["maybe", "TRUE ", "2", 1, 0, null, [], {}]) {
      expect(() => read({ flag: value })).toThrow(refused("INVALID_FLAG", "flag must be true or false", "flag"));
    }
  });

  test.each<[string, object]>([
    ["map[80]=8080&map[81]=x", { map: { "80": "8080", "81": "x" } }],
    ["map[0]=a&map[1]=b", { map: { "0": "a", "1": "b" } }],
    ["map[/tmp/data]=/data", { map: { "/tmp/data": "/data" } }],
    ["map%5BA%5D=1%202+3%26", { map: { A: "1 2 3&" } }],
    ["map[A]=", { map: { A: "" } }],
    ["list=A", { list: ["A"] }],
    ["list[]=A", { list: ["A"] }],
    ["list[]=A&list[]=B", { list: ["A", "B"] }],
    ["list=A&list=B", { list: ["A", "B"] }],
    ["list[10]=C&list[2]=B&list[0]=A", { list: ["A", "B", "C"] }],
    ["command=echo+'a+b'", { command: ["echo", "a b"] }],
    ["command[]=echo&command[]=a+b", { command: ["echo", "a b"] }],
    ["command[0]=echo&command[1]=", { command: ["echo", ""] }],
    [
      `command=${Array.from({ length: 30 }, (_, index) => index).join("+")}`,
      { command: Array.from({ length: 30 }, (_, index) => String(index)) },
    ],
    [
      Array.from({ length: 30 }, (_, index) => `command[]=${index}`).join("&"),
      { command: Array.from({ length: 30 }, (_, index) => String(index)) },
    ],
    ["number=1.5&integer=-1", { number: 1.5, integer: -1 }],
    ["text=h%C3%A9", { text: "hé" }],
  ])("the form %s is read", async (body, fields) => {
    expect(await form(body)).toEqual({ flag: false, ...fields });
  });

  test.each<[string, string]>([
    ["map=x", "INVALID_MAP"],
    ["map[a b]=x", "INVALID_MAP"],
    ["map[A][B]=x", "INVALID_MAP"],
    ["list[x]=A", "INVALID_LIST"],
    ["list[]=a", "INVALID_LIST"],
    ["command='a", "INVALID_COMMAND"],
    ["other=1", "INVALID_OTHER"],
    ["text[a]=1", "INVALID_TEXT"],
    ["flag=true&flag=false", "INVALID_FLAG"],
    ["map[a][b][c][d][e][f]=1", "INVALID_BODY"],
    [Array.from({ length: 2001 }, (_, index) => `map[a${index}]=1`).join("&"), "INVALID_BODY"],
    ['{"text": "a"}', "INVALID_BODY"],
  ])("the form %.60s is refused with %s", async (body, code) => {
    expect((await form(body)).code).toBe(code);
  });

  test.each<[object, object]>([
    [{ command: ["a", 1, true] }, { command: ["a", "1", "true"] }],
    [{ command: [] }, { command: [] }],
    [{ command: "" }, { command: [] }],
    [{ list: [] }, { list: [] }],
    [{ map: {} }, { map: {} }],
    [{ map: { A: 80, B: true, C: "" } }, { map: { A: "80", B: "true", C: "" } }],
    [{ scalar: 1.5 }, { scalar: "1.5" }],
    [
      { number: "10", integer: 10 },
      { number: 10, integer: 10 },
    ],
    [{ map: { constructor: "x", toString: "y" } }, { map: { constructor: "x", toString: "y" } }],
  ])("the JSON %j is read", (body, fields) => {
    expect(read(body)).toEqual({ flag: false, ...fields });
  });

  test.each<[object, string, string, string]>([
    [{ map: ["A=1"] }, "INVALID_MAP", 'map must be a map, such as {"NAME": "VALUE"}, or in a form FIELD[NAME]=VALUE', "map"],
    [{ map: null }, "INVALID_MAP", 'map must be a map, such as {"NAME": "VALUE"}, or in a form FIELD[NAME]=VALUE', "map"],
    [{ map: { A: null } }, "INVALID_MAP", "map.A must be text", "map.A"],
    [{ map: { A: {} } }, "INVALID_MAP", "map.A must be text", "map.A"],
    [{ map: { "a b": "x" } }, "INVALID_MAP", "map.a b must be letters", "map.a b"],
    [{ map: { A: "\0" } }, "INVALID_MAP", "map.A must not hold a NUL character", "map.A"],
    [{ text: 1 }, "INVALID_TEXT", "text must be text", "text"],
    [{ text: "a\0" }, "INVALID_TEXT", "text must not hold a NUL character", "text"],
    [{ number: 11 }, "INVALID_NUMBER", "number must be a number from 0.5 to 10", "number"],
    [{ number: "0.4" }, "INVALID_NUMBER", "number must be a number from 0.5 to 10", "number"],
    [{ number: "1e1" }, "INVALID_NUMBER", "number must be a number from 0.5 to 10", "number"],
    [{ number: "" }, "INVALID_NUMBER", "number must be a number from 0.5 to 10", "number"],
    [{ number: Number.NaN }, "INVALID_NUMBER", "number must be a number from 0.5 to 10", "number"],
    [{ integer: 1.5 }, "INVALID_INTEGER", "integer must be a whole number from -1 to 10", "integer"],
    [{ integer: "1.0" }, "INVALID_INTEGER", "integer must be a whole number from -1 to 10", "integer"],
    [{ integer: "0x1" }, "INVALID_INTEGER", "integer must be a whole number from -1 to 10", "integer"],
    [{ integer: -2 }, "INVALID_INTEGER", "integer must be a whole number from -1 to 10", "integer"],
    [{ list: [1] }, "INVALID_LIST", "list must be a list of texts", "list"],
    [{ command: 1 }, "INVALID_COMMAND", "command must be a command: text or a list of words", "command"],
    [{ command: ["a", ["b"]] }, "INVALID_COMMAND", "command must be a command: text or a list of words", "command"],
    [{ command: "a 'b" }, "INVALID_COMMAND", "command can't be split into words: a quote is left open", "command"],
    [
      { "not-a-field": 1 },
      "INVALID_NOT_A_FIELD",
      "not-a-field is not known here: known are flag, text, number, integer, scalar, map, list, command",
      "not-a-field",
    ],
  ])("the JSON %j is refused with the name of the field", (body, code, message, field) => {
    expect(() => read(body)).toThrow(refused(code, message, field));
  });

  test("a missing field is reported as required", () => {
    const required = z.object({ image: text, ports: map(text, text) });
    expect(() => readInput(required, {})).toThrow(refused("MISSING_IMAGE", "image is required", "image"));
    expect(() => readInput(required, { image: "a" })).toThrow(expect.objectContaining({ details: { field: "ports", provided: null } }));
  });

  test("lists and maps of any texts survive a form unchanged", async () => {
    const entry = fc.string({ unit: "grapheme" }).map((value) => value.replaceAll("\0", ""));
    await fc.assert(
      fc.asyncProperty(fc.array(entry, { minLength: 1, maxLength: 30 }), async (values) => {
        const words = values.map((value) => `command[]=${encodeURIComponent(value)}`);
        const pairs = values.map((value, index) => `map[${index + 7}]=${encodeURIComponent(value)}`);
        const expected = {
          flag: false,
          command: values,
          map: Object.fromEntries(values.map((value, index) => [String(index + 7), value])),
        };
        expect(await form([...words, ...pairs].join("&"))).toEqual(expected);
      }),
      { numRuns: 60 },
    );
  });

  test("any JSON is read or refused as a client error", () => {
    fc.assert(
      fc.property(fc.dictionary(fc.constantFrom(...Object.keys(schema.shape), "other"), fc.jsonValue()), (body) => {
        try {
          read(body);
        } catch (error) {
          expect(error).toMatchObject({ status: 400, clientCode: expect.stringMatching(/^(INVALID|MISSING)_[A-Z_]+$/) });
        }
      }),
      { numRuns: 500 },
    );
  });
});
