// Pure functions on lines of logs.

/** @typedef {{text: string, style: string}} Span a part of a line, and the names of its CSS classes */

const SGR_COLOURS = ["black", "red", "green", "yellow", "blue", "magenta", "cyan", "white"];
/** Every other escape sequence moves a cursor or sets a title: in a line of a log it means nothing. */
const ESCAPE = /\x1b\[([0-9;]*)m|\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[@-Z\\-_]|[\x00-\x08\x0b-\x1f\x7f]/g;

/**
 * Splits a line into parts of one colour each, without its escape sequences and control characters.
 * @param {string} line
 * @returns {Span[]}
 */
export function ansiSpans(line) {
  /** @type {Span[]} */
  const spans = [];
  let colour = "";
  let bold = false;
  let start = 0;
  const add = (/** @type {number} */ end) => {
    if (end > start)
      spans.push({ text: line.slice(start, end), style: [colour && `ansi-${colour}`, bold && "ansi-bold"].filter(Boolean).join(" ") });
  };
  for (const match of line.matchAll(ESCAPE)) {
    add(match.index);
    start = match.index + match[0].length;
    if (match[1] === undefined) continue;
    for (const code of (match[1] || "0").split(";").map(Number)) {
      if (code === 0) [colour, bold] = ["", false];
      else if (code === 1) bold = true;
      else if (code === 22) bold = false;
      else if (code === 39) colour = "";
      else if ((code >= 30 && code <= 37) || (code >= 90 && code <= 97)) colour = SGR_COLOURS[code % 10] ?? "";
    }
  }
  add(line.length);
  return spans;
}

/**
 * Separates the time that the server puts before a line.
 * @param {string} line
 * @returns {{time: string, text: string}} an empty time if there is none
 */
export function splitTime(line) {
  const [, time, text = ""] = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)) ?(.*)$/s.exec(line) ?? [];
  return time === undefined ? { time: "", text: line } : { time, text };
}

/**
 * The level that a line names; empty if it names none.
 * @param {string} text
 * @returns {"" | "error" | "warn" | "debug"}
 */
export function levelOf(text) {
  const [, word = ""] = /\b(fatal|panic|error|err|warn|warning|debug|trace)\b/i.exec(text.slice(0, 200)) ?? [];
  const lower = word.toLowerCase();
  if (lower === "") return "";
  return lower.startsWith("warn") ? "warn" : lower === "debug" || lower === "trace" ? "debug" : "error";
}

/** The newest lines of a log, up to a number; it counts those that it drops. */
export class LineWindow {
  /** @type {{key: number, time: string, text: string}[]} */
  lines = [];
  dropped = 0;
  #next = 0;

  /** @param {number} limit lines */
  constructor(limit) {
    this.limit = limit;
  }

  /** @param {string[]} added */
  add(added) {
    for (const line of added) this.lines.push({ key: this.#next++, ...splitTime(line) });
    const excess = this.lines.length - this.limit;
    if (excess <= 0) return;
    this.lines = this.lines.slice(excess);
    this.dropped += excess;
  }
}
