import { table } from "table";
import type { Comparison, Pair } from "./compare";

/** A number that only this server has, with what is asked of it. */
export interface Own {
  what: string;
  value: number;
  unit: "ms" | "MB";
  atMost?: number;
}

/** The comparisons as a table for people: medians, and how ours compares. */
export function comparisonTable(comparisons: Comparison[]): string {
  const head = ["", "unit", "ours", "raw API", "docker CLI", "ours / raw", "ours / CLI", "target"];
  return table([head, ...comparisons.map(comparisonRow)], { columns: numbersRight(head.length) });
}

function comparisonRow({ what, unit, medians, target }: Comparison): string[] {
  const { ours, raw, cli } = medians;
  const ratios = { raw: ours / raw, cli: ours / cli };
  const more = unit !== "ms";
  let wanted = "";
  if (target) {
    const met = more ? ratios[target.against] >= target.ratio : ratios[target.against] <= target.ratio;
    wanted = `${more ? "≥" : "≤"} ${target.ratio} × ${target.against}: ${met ? "met" : "MISSED"}`;
  }
  return [what, unit, short(ours), short(raw), short(cli), ratios.raw.toFixed(2), ratios.cli.toFixed(2), wanted];
}

/** The cluster's pairs as a table. */
export function pairTable(pairs: Pair[]): string {
  const rows = pairs.map(({ what, near, far, atMost }) => {
    const met = "ratio" in atMost ? far / near <= atMost.ratio : far - near <= atMost.more;
    const wanted = "ratio" in atMost ? `≤ ${atMost.ratio} ×` : `≤ + ${atMost.more} ms`;
    return [what, "ms", short(near), short(far), (far / near).toFixed(2), (far - near).toFixed(1), `${wanted}: ${met ? "met" : "MISSED"}`];
  });
  const head = ["", "unit", "first", "second", "second / first", "difference", "target"];
  return table([head, ...rows], { columns: numbersRight(head.length) });
}

/** What the proxy does, beside nginx. */
export interface ProxyRow {
  what: string;
  /** more is better */
  unit: string;
  ours: number;
  /** through another node */
  another: number;
  nginx: number;
  /** least of nginx's */
  target: number;
}

export function proxyTable(rows: ProxyRow[]): string {
  const lines = rows.map(({ what, unit, ours, another, nginx, target }) => {
    const met = `≥ ${target} × nginx: ${ours / nginx >= target ? "met" : "MISSED"}`;
    return [what, unit, short(ours), short(another), short(nginx), (ours / nginx).toFixed(2), (another / nginx).toFixed(2), met];
  });
  const head = ["", "unit", "ours", "another node", "nginx", "ours / nginx", "another / nginx", "target"];
  return table([head, ...lines], { columns: numbersRight(head.length) });
}

/** The numbers without a counterpart as a table. */
export function ownTable(numbers: Own[]): string {
  const rows = numbers.map(({ what, value, unit, atMost }) => {
    const wanted = atMost === undefined ? "" : `≤ ${atMost}: ${value <= atMost ? "met" : "MISSED"}`;
    return [what, unit, short(value), wanted];
  });
  return table([["this server alone", "unit", "", "target"], ...rows], { columns: numbersRight(4) });
}

function numbersRight(columns: number) {
  return Array.from({ length: columns }, (_, column) => ({ alignment: column < 2 ? ("left" as const) : ("right" as const) }));
}

function short(value: number): string {
  return value.toFixed(value >= 100 ? 0 : value >= 10 ? 1 : 2);
}
