import { readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { envNames } from "../config/load";
import type { Setting } from "../config/setting";
import { SETTINGS } from "../config/settings";

const README = path.resolve(__dirname, "../README.md");
const PLACE = /(<!-- options -->\n)[\s\S]*?(<!-- \/options -->)/;

/** The README with its options table made anew from the settings. */
export function withOptionsTable(readme: string): string {
  const rows = (Object.entries(SETTINGS) as [string, Setting][]).map(
    ([name, row]) => `| ${[flagOf(name, row), envOf(name, row), defaultOf(row), row.help].join(" | ")} |`,
  );
  const table = ["| flag | environment | default | |", "| --- | --- | --- | --- |", ...rows].join("\n");
  return readme.replace(PLACE, (_all, start: string, end: string) => `${start}${table}\n${end}`);
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

if (require.main === module) writeFileSync(README, withOptionsTable(readFileSync(README, "utf8")));
