import { readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { envNames } from "../config/load";
import type { Setting } from "../config/setting";
import { SETTINGS } from "../config/settings";

const PAGE = path.resolve(__dirname, "../docs/settings.md");
const TABLE_MARKERS = /(<!-- options -->\n)[\s\S]*?(<!-- \/options -->)/;

/** The page with its options table generated from `SETTINGS`. */
export function withOptionsTable(page: string): string {
  const rows = (Object.entries(SETTINGS) as [string, Setting][]).map(
    ([name, row]) => `| ${[flagOf(name, row), envOf(name, row), defaultOf(row), row.help].join(" | ")} |`,
  );
  const table = ["| flag | environment | default | |", "| --- | --- | --- | --- |", ...rows].join("\n");
  return page.replace(TABLE_MARKERS, (_all, start: string, end: string) => `${start}${table}\n${end}`);
}

function flagOf(name: string, row: Setting): string {
  return [name, ...(row.aliases ?? [])].map((each) => `\`--${each}\``).join(", ");
}

function envOf(name: string, row: Setting): string {
  return envNames(name, { ...row, aliases: [] })
    .map((each) => `\`${each}\``)
    .join(", ");
}

function defaultOf(row: Setting): string {
  const value = Array.isArray(row.default) ? row.default.join(" ") : row.default;
  return value === null || value === "" ? "" : `\`${value}\``;
}

if (require.main === module) writeFileSync(PAGE, withOptionsTable(readFileSync(PAGE, "utf8")));
