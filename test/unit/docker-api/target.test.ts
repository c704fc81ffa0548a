import fc from "fast-check";
import { formatTarget, isDockerTarget, parseDockerTarget } from "../../../lib/docker-api/target";

test("a versioned path and a ping are the Docker API's on the main port, anything else is not", () => {
  for (const url of ["/v1.41/containers/json", "/v1.24", "/_ping", "/_ping?x=1"]) expect(isDockerTarget(url)).toBe(true);
  for (const url of ["/containers", "/v2/x", "/v1.x/y", "/version", "/_pings", "/"]) expect(isDockerTarget(url)).toBe(false);
});

test("the version, the decoded segments and the query are told apart", () => {
  expect(parseDockerTarget("/v1.41/containers/a%20b/json?size=1")).toEqual({
    version: 41,
    segments: ["containers", "a b", "json"],
    search: "?size=1",
  });
  expect(parseDockerTarget("/info")).toEqual({ version: undefined, segments: ["info"], search: "" });
});

test("a version below 1.24 is refused in the engine's words", () => {
  expect(() => parseDockerTarget("/v1.23/info")).toThrow("client version 1.23 is too old");
});

test.each(["/v1.41//containers/json", "/v1.41/"])("%s has no row: an engine might clean the path into another", (url) =>
  expect(parseDockerTarget(url)).toBeUndefined(),
);

test.each([
  "/v1.41/containers/../info",
  "/v1.41/./info",
  "/v1.41/%2e%2e/info",
  "/v1.41/containers/%zz/json",
  "/v1.41/containers/a%00/json",
  "/v1.41/containers/a%2F..%2Fb/json",
  "/v1.41/images/a%2F%2Fb/json",
])("%s is refused", (url) => expect(() => parseDockerTarget(url)).toThrow(/path/));

test("what is sent to an engine is read by it as the same segments and query", () => {
  const segment = fc
    .string({ unit: "binary", minLength: 1 })
    .filter((text) => !/[/\0-\x1f\x7f\ud800-\udfff]/.test(text) && ![".", ".."].includes(text));
  fc.assert(
    fc.property(fc.array(segment, { minLength: 1 }), fc.string(), (segments, value) => {
      const parsed = parseDockerTarget(formatTarget(41, segments, new URLSearchParams({ value })));
      expect(parsed?.segments).toEqual(segments);
      expect(new URLSearchParams(parsed?.search).get("value")).toBe(value);
    }),
  );
});
