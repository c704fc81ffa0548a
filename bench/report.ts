import { table } from "table";
import type { Comparison, Pair } from "./compare";

/** A measurement without a counterpart, with its limit. */
export interface AbsoluteMeasurement {
  title: string;
  value: number;
  unit: "ms" | "MB" | "kB" | "µs" | "%" | "requests/s";
  atMost?: number;
}

/** The comparisons as a text table: medians and ratios. */
export function comparisonTable(comparisons: Comparison[]): string {
  const head = ["", "unit", "ours", "raw API", "docker CLI", "ours / raw", "ours / CLI", "target"];
  return table([head, ...comparisons.map(comparisonRow)], { columns: alignNumbersRight(head.length) });
}

function comparisonRow({ title, unit, medians, target }: Comparison): string[] {
  const { ours, raw, cli } = medians;
  const ratios = { raw: ours / raw, cli: ours / cli };
  const higherIsBetter = unit !== "ms";
  let targetText = "";
  if (target) {
    const met = higherIsBetter ? ratios[target.against] >= target.ratio : ratios[target.against] <= target.ratio;
    targetText = `${higherIsBetter ? "≥" : "≤"} ${target.ratio} × ${target.against}: ${met ? "met" : "MISSED"}`;
  }
  return [title, unit, formatNumber(ours), formatNumber(raw), formatNumber(cli), ratios.raw.toFixed(2), ratios.cli.toFixed(2), targetText];
}

/** Measurements and their baselines as a text table. */
export function pairTable(pairs: Pair[]): string {
  const rows = pairs.map(({ title, baseline, measured, atMost }) => {
    const met = "ratio" in atMost ? measured / baseline <= atMost.ratio : measured - baseline <= atMost.more;
    const targetText = "ratio" in atMost ? `≤ ${atMost.ratio} ×` : `≤ + ${atMost.more} ms`;
    return [
      title,
      "ms",
      formatNumber(baseline),
      formatNumber(measured),
      (measured / baseline).toFixed(2),
      (measured - baseline).toFixed(1),
      `${targetText}: ${met ? "met" : "MISSED"}`,
    ];
  });
  const head = ["", "unit", "first", "second", "second / first", "difference", "target"];
  return table([head, ...rows], { columns: alignNumbersRight(head.length) });
}

/** A throughput of the proxy and of nginx. */
export interface ProxyRow {
  title: string;
  /** of a rate: higher is better */
  unit: string;
  ours: number;
  /** through a peer */
  viaPeer: number;
  nginx: number;
  /** lowest accepted ratio to nginx */
  target: number;
}

export function proxyTable(rows: ProxyRow[]): string {
  const lines = rows.map(({ title, unit, ours, viaPeer, nginx, target }) => {
    const met = `≥ ${target} × nginx: ${ours / nginx >= target ? "met" : "MISSED"}`;
    return [
      title,
      unit,
      formatNumber(ours),
      formatNumber(viaPeer),
      formatNumber(nginx),
      (ours / nginx).toFixed(2),
      (viaPeer / nginx).toFixed(2),
      met,
    ];
  });
  const head = ["", "unit", "ours", "another node", "nginx", "ours / nginx", "another / nginx", "target"];
  return table([head, ...lines], { columns: alignNumbersRight(head.length) });
}

/** Medians of an earlier build, of the present one, and of what limits both. */
export interface AgainstRow {
  title: string;
  /** lower is better for ms and MB, higher for rates */
  unit: "ms" | "MB" | "requests/s";
  earlier: number;
  now: number;
  limit: number;
  limitedBy: string;
}

/** What one request costs in a pool of a size. */
export interface PoolRow {
  title: string;
  nodes: number;
  /** calls to other nodes, each a message there and one back */
  calls: number;
  /** ms, of the node that the client asks */
  cpuMs: number;
  /** ms, of all other nodes together */
  otherCpuMs: number;
}

/** What requests cost as the pool grows, as a table of Markdown, as docs/performance.md has it. */
export function poolTable(rows: PoolRow[]): string {
  const head = ["", "nodes", "calls to other nodes", "CPU of the asked node, ms", "CPU of all others, ms"];
  const lines = rows.map(({ title, nodes, calls, ...times }) => [
    title,
    String(nodes),
    formatNumber(calls).replace(/\.0+$/, ""),
    ...[times.cpuMs, times.otherCpuMs].map(formatNumber),
  ]);
  return markdownTable(
    [head, ...lines],
    head.map((_, column) => (column === 0 ? "---" : "---:")),
  );
}

function markdownTable([head = [], ...lines]: string[][], rule: string[]): string {
  return [head, rule, ...lines].map((cells) => `| ${cells.join(" | ")} |\n`).join("");
}

/** An earlier build and the present one as a table of Markdown, as docs/performance.md has it. */
export function againstTable(revision: string, rows: AgainstRow[]): string {
  const head = ["", "unit", revision, "now", `now / ${revision}`, "limit", "now / limit", "limited by"];
  const lines = rows.map(({ title, unit, earlier, now, limit, limitedBy }) => [
    title,
    unit,
    ...[earlier, now].map(formatNumber),
    (now / earlier).toFixed(2),
    formatNumber(limit),
    (now / limit).toFixed(2),
    limitedBy,
  ]);
  const rule = head.map((_, column) => (column < 2 || column === head.length - 1 ? "---" : "---:"));
  return markdownTable([head, ...lines], rule);
}

/** Measurements without a counterpart as a text table. */
export function absoluteTable(numbers: AbsoluteMeasurement[]): string {
  const rows = numbers.map(({ title, value, unit, atMost }) => {
    const targetText = atMost === undefined ? "" : `≤ ${atMost}: ${value <= atMost ? "met" : "MISSED"}`;
    return [title, unit, formatNumber(value), targetText];
  });
  return table([["this server alone", "unit", "", "target"], ...rows], { columns: alignNumbersRight(4) });
}

function alignNumbersRight(columns: number) {
  return Array.from({ length: columns }, (_, column) => ({ alignment: column < 2 ? ("left" as const) : ("right" as const) }));
}

function formatNumber(value: number): string {
  return value.toFixed(value >= 100 ? 0 : value >= 10 ? 1 : 2);
}
