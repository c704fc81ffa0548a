import { readFileSync } from "node:fs";
import path from "node:path";
import { withOptionsTable } from "../../../scripts/options-table";

const PAGE = readFileSync(path.resolve(__dirname, "../../../docs/settings.md"), "utf8");

test("docs/settings.md has the options table that npm run readme makes from the settings", () => {
  expect(PAGE).toContain("| `--low_burst` | `DS_LOW_BURST` | `60` |");
  expect(withOptionsTable(PAGE)).toBe(PAGE);
});
