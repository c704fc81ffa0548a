import type { PathContent } from "../../../../lib/archive/tar-write";
import { groupByMount } from "../../../../lib/runs/volumes/volume-io";

const content = (path: string): PathContent => ({ path, mode: undefined, file: Buffer.from(path) });

test("contents are written to the deepest mount that holds them, by paths relative to it, and the others to the root", () => {
  const contents = ["/a", "/a/f", "/a/b/f", "/ab", "/v", "/x/y"].map(content);
  const groups = groupByMount(contents, new Set(["/a", "/a/b", "/v", "/unused"]));
  expect([...groups].map(([mount, mounted]) => [mount, mounted.map(({ path }) => path)])).toEqual([
    ["/a", ["/.", "/f"]],
    ["/a/b", ["/f"]],
    ["/", ["/ab", "/x/y"]],
    ["/v", ["/."]],
  ]);
});
