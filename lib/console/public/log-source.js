import { sortableTime, splitTime } from "./log-text.js";

/** Lines that are remembered to tell doubles from new ones: more than one time has, and than a clock that is set back should leave. */
const MAX_REMEMBERED = 1000;

/** What was taken of a log: its newest time, and the lines from the first one with that time on. */
class TakenLines {
  time = "";
  #order = "";
  /** @type {string[]} */
  #lines = [];
  /** How often each line is still to come a second time. @type {Map<string, number>} */
  #repeated = new Map();

  /** Prepares for the lines from `time` on, which were taken already. */
  rewind() {
    this.#repeated = new Map();
    for (const line of this.#lines) this.#repeated.set(line, (this.#repeated.get(line) ?? 0) + 1);
  }

  /**
   * Takes a line.
   * @param {string} line
   * @returns {boolean} whether it is new
   */
  take(line) {
    const times = this.#repeated.get(line) ?? 0;
    if (times > 0) {
      this.#repeated.set(line, times - 1);
      return false;
    }
    const { time } = splitTime(line);
    if (time === "") return true;
    const order = sortableTime(time);
    if (order > this.#order || this.#lines.length >= MAX_REMEMBERED) {
      this.time = time;
      this.#order = order;
      this.#lines = [];
      this.#repeated.clear();
    }
    this.#lines.push(line);
    return true;
  }
}

/**
 * Reads a log; after a break it opens it again at the last line's time. No line comes twice, and none is left out.
 * @param {(query: Record<string, string>) => AsyncIterable<string[]>} open gives the lines with their times
 * @param {Record<string, string>} query where the log begins
 * @param {(error: Error | undefined) => Promise<boolean>} opensAgain asked after a break, and after the log's end with undefined
 * @returns {AsyncGenerator<string[]>} lines in groups; the next ones are read when these have been taken
 */
export async function* readLog(open, query, opensAgain) {
  const taken = new TakenLines();
  const { tail: _, ...fromTime } = query;
  for (;;) {
    taken.rewind();
    let failure;
    try {
      for await (const lines of open(taken.time === "" ? query : { ...fromTime, since: taken.time })) {
        const added = lines.filter((line) => taken.take(line));
        if (added.length > 0) yield added;
      }
    } catch (error) {
      failure = /** @type {Error} */ (error);
    }
    if (!(await opensAgain(failure))) return;
  }
}
