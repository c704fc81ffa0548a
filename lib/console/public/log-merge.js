import { sortableTime, splitTime } from "./log-text.js";

/** @typedef {{name: string, lines: AsyncIterable<string[]>}} NamedLog */

/**
 * Merges logs by the time before each of their lines.
 * @param {NamedLog[]} logs
 * @returns {AsyncGenerator<string>} lines; of several logs each begins with the name of its own
 */
export async function* mergeLogs(logs) {
  const heads = await Promise.all(logs.map(async (log) => nextLine(log.name, linesIn(log.lines), "")));
  for (;;) {
    /** @type {typeof heads[number]} */
    let first;
    for (const head of heads) if (head && (!first || head.order < first.order)) first = head;
    if (!first) return;
    yield logs.length > 1 ? `${first.name} ${first.line}` : first.line;
    heads[heads.indexOf(first)] = await nextLine(first.name, first.rest, first.order);
  }
}

/** @param {AsyncIterable<string[]>} groups */
async function* linesIn(groups) {
  for await (const lines of groups) yield* lines;
}

/** @param {string} name @param {AsyncGenerator<string>} rest @param {string} before order of the line before it */
async function nextLine(name, rest, before) {
  const { done, value: line = "" } = await rest.next();
  if (done) return undefined;
  const { time } = splitTime(line);
  const own = time === "" ? "" : sortableTime(time);
  // Lines of one log keep their order.
  const isLater = own > before;
  return { name, rest, line, order: isLater ? own : before };
}
