import { levelOf, sortableTime, splitTime } from "./log-text.js";

/**
 * @typedef {object} LogLine
 * @property {number} key another one for each line
 * @property {string} source id of the container that wrote it
 * @property {string} time as the server told it; empty if it told none
 * @property {string} order the time that it is sorted by
 * @property {string} text
 * @property {import("./log-text.js").Level} level
 */

/** The lines of several logs in time order, up to a number; it counts those that it drops. */
export class LogWindow {
  /** @type {LogLine[]} */
  lines = [];
  dropped = 0;
  #nextKey = 0;
  #chars = 0;
  /** Of each source the order of its last line. @type {Map<string, string>} */
  #orders = new Map();

  /** @param {{maxLines: number, maxChars: number, keepsOldest?: boolean}} limits it keeps the newest lines, or the oldest */
  constructor({ maxLines, maxChars, keepsOldest = false }) {
    this.maxLines = maxLines;
    this.maxChars = maxChars;
    this.keepsOldest = keepsOldest;
  }

  /**
   * Adds the next lines of a source. They keep their order among themselves; between those of other sources they go where their time is.
   * @param {string} source
   * @param {string[]} texts each with its time before it
   */
  add(source, texts) {
    let order = this.#orders.get(source) ?? "";
    const added = texts.map((line) => {
      const { time, text } = splitTime(line);
      const own = time === "" ? "" : sortableTime(time);
      if (own > order) order = own;
      this.#chars += text.length;
      return { key: this.#nextKey++, source, time, order, text, level: levelOf(text) };
    });
    this.#orders.set(source, order);
    this.#insert(added);
    this.#trim();
  }

  /** @param {LogLine[]} added in order */
  #insert(added) {
    const first = added[0]?.order ?? "";
    let place = this.lines.length;
    while (place > 0 && /** @type {LogLine} */ (this.lines[place - 1]).order > first) place -= 1;
    const later = this.lines.splice(place);
    let next = 0;
    for (const line of added) {
      // Of lines with equal times the one that came first stays first.
      for (let other = later[next]; other && other.order <= line.order; other = later[next]) {
        this.lines.push(other);
        next += 1;
      }
      this.lines.push(line);
    }
    this.lines.push(...later.slice(next));
  }

  #trim() {
    let excess = 0;
    while (this.lines.length - excess > this.maxLines || this.#chars > this.maxChars) {
      const line = this.lines.at(this.keepsOldest ? -1 - excess : excess);
      if (!line) break;
      this.#chars -= line.text.length;
      excess += 1;
    }
    if (excess === 0) return;
    this.lines.splice(this.keepsOldest ? -excess : 0, excess);
    this.dropped += excess;
  }
}
