import { z } from "zod";
import { flag } from "../../../lib/http/fields";
import { readQuery } from "../../../lib/http/query";

const schema = z.object({ all: flag.default(false), force: flag.default(true), q: z.string().optional() }).strict();
const read = (url: string) => readQuery(schema, { url, query: Object.fromEntries(new URLSearchParams(url.split("?")[1])) }, undefined);

test.each([
  ["/containers", { all: false, force: true }],
  ["/containers?all", { all: true, force: true }],
  ["/containers?q=a&all&force=false", { all: true, force: false, q: "a" }],
  ["/containers?all=&force", { all: false, force: true }],
  ["/containers?q", { all: false, force: true, q: "" }],
])("the flags of %s", (url, expected) => {
  expect(read(url)).toEqual(expected);
});
