import { rowsToDraw } from "./row-window.js";
import { html, useEffect, useRef, useState } from "./view.js";

/** Height of a row; console.css has the same. */
const ROW_PX = 36;
/** So long a scrolled table must rest before its rows count as looked at. */
const REST_MS = 300;
const FIRST_VIEW = { first: 0, count: 30 };

/**
 * A table of any length, of which only the rows near the view are elements. Every row has the same height and one line: what doesn't fit
 * is cut, and whole in the cell's title. It scrolls by itself, by the keyboard too.
 * @template Row
 * @param {{label: string, columns: {head: unknown, width: string}[], rows: Row[], keyOf: (row: Row) => string, cells: (row: Row) => unknown,
 *   top?: string, onRest?: (rows: Row[]) => void}} props `cells` makes the th and td of a row; a table with another `top` begins at its
 *   first row again; `onRest` is told which rows are in view
 */
export function VirtualTable({ label, columns, rows, keyOf, cells, top = "", onRest }) {
  const box = useRef(/** @type {HTMLElement | null} */ (null));
  const [view, setView] = useState(FIRST_VIEW);
  const [focusedKey, setFocusedKey] = useState(/** @type {string | undefined} */ (undefined));
  const look = () => {
    // The browser tells of the last change of size after the table has left the page.
    if (!box.current) return;
    const { scrollTop, clientHeight } = box.current;
    const seen = { first: Math.floor(scrollTop / ROW_PX), count: Math.ceil(clientHeight / ROW_PX) };
    setView((before) => (before.first === seen.first && before.count === seen.count ? before : seen));
  };
  useEffect(() => {
    const observer = new ResizeObserver(look);
    observer.observe(/** @type {HTMLElement} */ (box.current));
    return () => observer.disconnect();
  }, []);
  useEffect(() => box.current?.scrollTo(0, 0), [top]);
  useEffect(() => {
    const timer = setTimeout(() => onRest?.(rows.slice(view.first, view.first + view.count)), REST_MS);
    return () => clearTimeout(timer);
  }, [rows, view]);
  const focus = (/** @type {any} */ event) => {
    const row = rows[Number(event.target.closest("tr")?.ariaRowIndex) - 2];
    setFocusedKey(row && keyOf(row));
  };

  const focused = focusedKey === undefined ? -1 : rows.findIndex((row) => keyOf(row) === focusedKey);
  const drawn = [];
  let next = 0;
  const leaveOut = (/** @type {number} */ end) => {
    if (end > next) drawn.push(html`<tr key=${`before ${end}`} aria-hidden="true" style=${{ height: `${(end - next) * ROW_PX}px` }}></tr>`);
  };
  for (const index of rowsToDraw({ ...view, total: rows.length, focused })) {
    const row = /** @type {Row} */ (rows[index]);
    leaveOut(index);
    // The header is the first row.
    drawn.push(html`<tr key=${`row ${keyOf(row)}`} aria-rowindex=${index + 2}>${cells(row)}</tr>`);
    next = index + 1;
  }
  leaveOut(rows.length);
  return html`<div class="scroll rows" ref=${box} tabindex="0" role="region" aria-label=${label} onScroll=${look}>
    <table aria-label=${label} aria-rowcount=${rows.length + 1}>
      <thead><tr aria-rowindex="1">${columns.map(({ head, width }) => html`<th scope="col" style=${{ width }}>${head}</th>`)}</tr></thead>
      <tbody onfocusin=${focus} onfocusout=${() => setFocusedKey(undefined)}>${drawn}</tbody></table></div>`;
}
