// Which rows of a long table are elements of the page.

/** Rows that are drawn above and below the view, so that scrolling a little finds them there. */
const OVERSCAN_ROWS = 8;

/**
 * The rows to draw, in order: those in view, some around them, and the one that has the focus, which it would lose with its element.
 * @param {{first: number, count: number, total: number, focused: number}} window the first row in view, how many fit, of how many; the
 *   index of the row that has the focus, or -1
 * @returns {number[]} indexes
 */
export function rowsToDraw({ first, count, total, focused }) {
  // The list may have become shorter than where it was scrolled to.
  const top = Math.max(0, Math.min(first, total - count));
  const start = Math.max(0, top - OVERSCAN_ROWS);
  const end = Math.min(total, top + count + OVERSCAN_ROWS);
  const indexes = Array.from({ length: end - start }, (_, offset) => start + offset);
  if (focused >= 0 && focused < start) indexes.unshift(focused);
  if (focused >= end && focused < total) indexes.push(focused);
  return indexes;
}
