// Pure functions on lines of logs.

/** @typedef {{text: string, style: string}} Span a part of a line, and the names of its CSS classes */
/** @typedef {"" | "error" | "warn" | "info" | "debug"} Level empty if a line names none */

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

const NANOSECOND_DIGITS = 9;

/**
 * A time as text that sorts by time, whatever its zone and number of decimals.
 * @param {string} time of RFC 3339; of one that doesn't exist the text is empty
 */
export function sortableTime(time) {
  // As Docker writes it.
  if (time.length === "2026-01-31T12:00:00.000000000Z".length && time.endsWith("Z")) return time;
  const [fraction = "", digits = ""] = /\.(\d+)/.exec(time) ?? [];
  const date = new Date(time.replace(fraction, ""));
  if (Number.isNaN(date.getTime())) return "";
  const seconds = date.toISOString().slice(0, -".000Z".length);
  return `${seconds}.${digits.slice(0, NANOSECOND_DIGITS).padEnd(NANOSECOND_DIGITS, "0")}Z`;
}

/** The field of a JSON line that holds its level, as the usual libraries name it. */
const JSON_LEVEL = /"(?:level|severity|lvl|levelname|log\.level)"\s*:\s*"?(\w+)/i;
const LEVEL_WORD = /\b(fatal|panic|critical|error|err|warn|warning|info|notice|debug|trace)\b/i;
/** A level is looked for in so many characters from the start. */
const JSON_LEVEL_CHARS = 2000;
const LEVEL_CHARS = 200;

/**
 * The level that a line names.
 * @param {string} text
 * @returns {Level}
 */
export function levelOf(text) {
  const [, field] = (text.startsWith("{") && JSON_LEVEL.exec(text.slice(0, JSON_LEVEL_CHARS))) || [];
  const word = field ?? LEVEL_WORD.exec(text.slice(0, LEVEL_CHARS))?.[1] ?? "";
  return nameOfLevel(word.toLowerCase());
}

/** @param {string} word @returns {Level} */
function nameOfLevel(word) {
  // Pino and Bunyan count: 20 debug, 30 info, 40 warn, 50 error.
  if (/^\d+$/.test(word)) return Number(word) >= 50 ? "error" : Number(word) >= 40 ? "warn" : Number(word) >= 30 ? "info" : "debug";
  if (word.startsWith("warn")) return "warn";
  if (word === "info" || word === "information" || word === "notice") return "info";
  if (word === "debug" || word === "trace" || word === "verbose") return "debug";
  return ["fatal", "panic", "critical", "error", "err", "alert", "emergency"].includes(word) ? "error" : "";
}

/** The levels that a choice of one shows. @type {Record<string, Level[]>} */
export const LEVEL_CHOICES = { error: ["error"], warn: ["error", "warn"], info: ["error", "warn", "info", ""] };

const MESSAGE_FIELDS = ["message", "msg", "event"];
const LEVEL_FIELDS = ["level", "severity", "lvl", "levelname", "log.level"];
/** The time stands before the line already. */
const TIME_FIELDS = ["time", "timestamp", "ts", "@timestamp", "datetime"];

/**
 * A line of JSON as people read it: level, message, then the other fields.
 * @param {string} text
 * @returns {Span[] | undefined} undefined if it is no JSON object
 */
export function jsonSpans(text) {
  const fields = objectOf(text);
  if (!fields) return undefined;
  const message = MESSAGE_FIELDS.find((name) => typeof fields[name] === "string");
  const level = LEVEL_FIELDS.find((name) => name in fields);
  const hidden = [message, level, ...TIME_FIELDS];
  const others = Object.entries(fields).filter(([name]) => !hidden.includes(name));
  const levelText = level === undefined ? "" : (nameOfLevel(String(fields[level]).toLowerCase()) || String(fields[level])).toUpperCase();
  return [
    ...(levelText === "" ? [] : [{ text: `${plain(levelText)} `, style: "ansi-bold" }]),
    ...(message === undefined ? [] : ansiSpans(`${fields[message]} `)),
    ...others.flatMap(([name, value]) => [
      { text: `${plain(name)}=`, style: "field-name" },
      { text: `${valueText(value)} `, style: "" },
    ]),
  ];
}

/** @param {string} text @returns {Record<string, unknown> | undefined} */
function objectOf(text) {
  if (!text.startsWith("{")) return undefined;
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

const plain = (/** @type {string} */ text) => text.replace(ESCAPE, "");

/** A value in one word, except a text of several lines, such as a stack, which keeps them. @param {unknown} value */
function valueText(value) {
  if (typeof value !== "string") return JSON.stringify(value);
  if (value.includes("\n")) return `\n${plain(value)}\n`;
  return /^[^\s"\x00-\x1f\x7f]+$/.test(value) ? value : JSON.stringify(value);
}
