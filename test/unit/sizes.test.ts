import { programFiles, sourceOf } from "./sources";

const sizes = programFiles()
  .map((file) => ({ file, lines: sourceOf(file).trimEnd().split("\n").length }))
  .sort((a, b) => a.lines - b.lines);

test("files are small: the median below 100 lines", () => {
  expect(sizes.length).toBeGreaterThan(30);
  expect(sizes[Math.floor(sizes.length / 2)]?.lines).toBeLessThan(100);
});

test("no file has more than 300 lines", () => {
  expect(sizes.filter(({ lines }) => lines > 300)).toEqual([]);
});
