import { readFileSync } from "node:fs";
import path from "node:path";
import { withOptionsTable } from "../../../scripts/options-table";

const README = readFileSync(path.resolve(__dirname, "../../../README.md"), "utf8");

test("the README's options table is the settings table (npm run readme writes it)", () => {
  expect(README).toContain("| `--low_burst` | `DS_LOW_BURST` | `60` |");
  expect(withOptionsTable(README)).toBe(README);
});
