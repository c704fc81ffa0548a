import { MissingLists } from "../../../lib/docker-api/missing-lists";

const missing = [{ node: "n2", reason: "no answer" }];
const web = { Id: "a", Names: ["/web"], Labels: { app: "x" }, State: "running", Status: "Up" };
const unknown = { ...web, Status: "Unknown (node n2 unreachable)" };
const lists = new MissingLists();
lists.remember("n2", "", [web], new URLSearchParams("all=1"));
const entries = (query: string, accessKey = "") => lists.entries(missing, accessKey, new URLSearchParams(query));

test("what a node had is listed as unknown, filtered by label and name", () => {
  expect(entries("all=1")).toEqual([unknown]);
  expect(entries(`filters=${JSON.stringify({ label: ["app=x"] })}`)).toEqual([unknown]);
  expect(entries(`filters=${JSON.stringify({ label: { "app=y": true } })}`)).toEqual([]);
  expect(entries(`filters=${JSON.stringify({ name: ["we"] })}`)).toEqual([unknown]);
});

test("a node that was only asked for what runs is not taken for an empty one, and the younger list counts", () => {
  const own = new MissingLists();
  const list = (query: string) => own.entries(missing, "", new URLSearchParams(query)).map(({ Id }) => Id);
  own.remember("n2", "", [web], new URLSearchParams());
  expect([list(""), list("all=1")]).toEqual([["a"], ["a"]]);
  own.remember("n2", "", [web, { ...web, Id: "b", State: "exited" }], new URLSearchParams("all=1"));
  own.remember("n2", "", [{ ...web, Id: "c" }], new URLSearchParams());
  expect([list(""), list("all=1")]).toEqual([["c"], ["c", "a", "b"]]);
  own.remember("n2", "", [], new URLSearchParams("limit=1"));
  own.remember("n2", "", [], new URLSearchParams({ filters: '{"name":["x"]}' }));
  expect(list("")).toEqual(["c"]);
  own.remember("n2", "", [{ ...web, Id: "d", State: "paused" }], new URLSearchParams());
  expect(list("")).toEqual(["d"]);
});

test("of a node that was only asked for what runs, a filtered list of all is refused: what doesn't run is not absent", () => {
  const own = new MissingLists();
  own.remember("n2", "", [web], new URLSearchParams());
  const byLabel = { filters: '{"label":["app=x"]}' };
  expect(own.entries(missing, "", new URLSearchParams(byLabel))).toEqual([unknown]);
  expect(() => own.entries(missing, "", new URLSearchParams({ ...byLabel, all: "1" }))).toThrow("node n2 is unreachable");
});

test("a filtered list that can't be known is refused, an unfiltered one is without the node", () => {
  expect(() => entries(`filters=${JSON.stringify({ status: ["exited"] })}`)).toThrow("node n2 is unreachable");
  expect(() => entries(`filters=${JSON.stringify({ label: ["app"] })}`, "other")).toThrow("node n2 is unreachable");
  expect(entries("all=1", "other")).toEqual([]);
});

const container = (digit: string, name: string) => ({ Id: digit.repeat(64), Names: [`/${name}`], State: "running" });
const ALL = new URLSearchParams({ all: "1" });
const MISSING = [{ node: "n2", reason: "refused" }];

test.each([
  ["its name", "web"],
  ["its id", "a".repeat(64)],
  ["first digits of its id", "aaa"],
])("a container that was removed by %s is none of a node that is missing later", (_what, reference) => {
  const lists = new MissingLists();
  const names = (access: string, query = ALL) => lists.entries(MISSING, access, query).map(({ Names }) => (Names as string[])[0]);
  for (const access of ["", "narrow"]) lists.remember("n2", access, [container("a", "web"), container("b", "webserver")], ALL);
  lists.remember("n2", "", [container("a", "web")], new URLSearchParams());
  lists.remember("n22", "", [container("a", "web")], ALL);
  lists.forget("n2", reference);
  expect(names("")).toEqual(["/webserver"]);
  expect(names("narrow")).toEqual(["/webserver"]);
  expect(names("", new URLSearchParams())).toEqual([]);
  expect(lists.entries([{ node: "n22", reason: "refused" }], "", ALL)).toHaveLength(1);
});
