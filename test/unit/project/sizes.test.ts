import { programFiles, sourceOf } from "../../support/unit/sources";

const sizes = programFiles()
  .map((file) => ({ file, lines: sourceOf(file).trimEnd().split("\n").length }))
  .sort((a, b) => a.lines - b.lines);

test("no file has more than 300 lines", () => {
  expect(sizes.length).toBeGreaterThan(30);
  expect(sizes.filter(({ lines }) => lines > 300)).toEqual([]);
});
