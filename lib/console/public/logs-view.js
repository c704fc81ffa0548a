import { useLayoutEffect, useMemo } from "./hooks.mjs";
import { saveLogs } from "./log-download.js";
import { LogReader, MAX_LINES, MAX_LOGS } from "./log-reader.js";
import { ansiSpans, jsonSpans, LEVEL_CHOICES } from "./log-text.js";
import { T } from "./strings.js";
import { changeQuery, Field, html, Notice, Problem, queryValue, useEffect, useRef, useState } from "./view.js";

/** @typedef {import("./log-reader.js").Source} Source */
/** @typedef {Source & {colour: number}} ColouredSource */
/** @typedef {import("./log-window.js").LogLine} LogLine */

/** Rows that are drawn while the end is in view; all are drawn as soon as somebody scrolls up. */
const LIVE_ROWS = 200;
/** Rows that one frame adds. */
const MORE_ROWS = 400;
/** A little is left at the end of most scrolling. */
const AT_END_PX = 24;
const COLOURS = 8;

/** The logs of some containers as one stream. @param {{containers: Source[]}} props those that are listed now, each from when it is first */
export function LogsView({ containers }) {
  const [range, setRange] = useState(() => ({
    since: queryValue("since"),
    until: queryValue("until"),
    isFollowed: queryValue("follow") !== "false",
  }));
  const [typed, setTyped] = useState({ since: range.since, until: range.until });
  const [filter, setFilter] = useState(() => queryValue("filter"));
  const [level, setLevel] = useState(() => queryValue("level"));
  const [isRaw, setRaw] = useState(false);
  const [failure, setFailure] = useState(/** @type {Error | undefined} */ (undefined));
  const { reader, drawing, sources } = useReader(containers, range);
  /** The lines as they were when somebody scrolled up. */
  const [held, setHeld] = useState(/** @type {LogLine[] | undefined} */ (undefined));
  useEffect(() => setHeld(undefined), [reader]);
  useEffect(
    () => changeQuery({ since: range.since, until: range.until, follow: range.isFollowed ? "" : "false", filter, level }),
    [range, filter, level],
  );

  const lines = held ?? reader.window.lines;
  const found = useMemo(() => linesThatMatch(lines, filter, level), [held ?? drawing, reader, filter, level]);
  const isLive = !reader.beginsAtTime && !held;
  const limit = useRowLimit(isLive, found.length);
  const rows = useMemo(() => {
    const several = sources.size > 1;
    const shown = reader.beginsAtTime ? found.slice(0, limit) : found.slice(-limit);
    return shown.map((line) => row(line, several ? sources.get(line.source) : undefined, isRaw));
  }, [found, limit, isRaw, sources]);
  const { box, watchScroll } = useScroll(isLive, [rows], (isAtEnd) => setHeld(isAtEnd ? undefined : reader.window.lines.slice()));

  const apply = (/** @type {Event} */ event) => {
    event.preventDefault();
    setRange({ ...range, ...typed });
  };
  const later = () => {
    const since = lines.at(-1)?.time ?? "";
    setTyped({ ...typed, since });
    setRange({ ...range, since });
  };
  const download = () =>
    saveLogs([...sources.values()], range).then(
      () => setFailure(undefined),
      (error) => setFailure(error),
    );
  const change = (/** @type {"since" | "until"} */ name) => (/** @type {string} */ value) => setTyped({ ...typed, [name]: value });
  return html`<form class="bar" onSubmit=${apply}>
      <${Field} label=${T.since} placeholder=${T.sinceHint} value=${typed.since} onInput=${change("since")} />
      <${Field} label=${T.until} placeholder=${T.sinceHint} value=${typed.until} onInput=${change("until")} />
      <button type="submit">${T.showRange}</button><button type="button" onClick=${download}>${T.download}</button>
      <label><input type="checkbox" checked=${range.isFollowed} onChange=${() => setRange({ ...range, isFollowed: !range.isFollowed })} /> ${T.follow}</label></form>
    <div class="bar"><${Field} label=${T.filter} id="filter" type="search" value=${filter} onInput=${setFilter} />
      <label class="field"><span>${T.level}</span><select value=${level} onChange=${(/** @type {any} */ event) => setLevel(event.currentTarget.value)}>
        ${Object.entries(T.levels).map(([value, text]) => html`<option value=${value}>${text}</option>`)}</select></label>
      <label><input type="checkbox" checked=${isRaw} onChange=${() => setRaw(!isRaw)} /> ${T.rawJson}</label>
      <span>${(reader.beginsAtTime ? T.firstLines : T.lines)(found.length, reader.window.dropped)}</span>
      ${held && html`<button onClick=${() => setHeld(undefined)}>${T.newest}</button>`}
      ${isFull(reader) && html`<button onClick=${later}>${T.laterLines}</button>`}</div>
    <${Problem} error=${failure} />${[...sources.values()].map(({ id, name }) => html`<${Problem} key=${id} error=${problemOf(reader, id, name)} />`)}
    <${Notice} text=${statesText(reader, sources)} />
    <div class=${`log ${isLive ? "live" : ""}`} ref=${box} onScroll=${watchScroll} tabindex="0" role="log" aria-live="off" aria-label=${T.logs}>${rows}</div>`;
}

/**
 * Reads the logs while they are shown.
 * @param {Source[]} containers
 * @param {import("./log-reader.js").Range} range
 */
function useReader(containers, { since, until, isFollowed }) {
  const [drawing, setDrawing] = useState(0);
  const known = useRef(/** @type {Map<string, ColouredSource>} */ (new Map()));
  const reader = useMemo(
    () => new LogReader({ since, until, isFollowed: isFollowed && until === "" }, () => setDrawing((before) => before + 1)),
    [since, until, isFollowed],
  );
  useEffect(() => () => reader.close(), [reader]);
  useEffect(() => reader.update([...known.current.values(), ...containers]), [reader, containers]);
  // A container stays though its node is missing from the list for a while.
  const added = containers.filter(({ id }) => !known.current.has(id));
  if (added.length > 0)
    known.current = new Map([
      ...known.current,
      ...added.map(({ id, name, host }, index) => {
        const colour = (known.current.size + index) % COLOURS;
        return /** @type {[string, ColouredSource]} */ ([id, { id, name, ...(host ? { host } : {}), colour }]);
      }),
    ]);
  return { reader, drawing, sources: known.current };
}

/**
 * @param {LogLine[]} lines
 * @param {string} filter
 * @param {string} level
 */
function linesThatMatch(lines, filter, level) {
  const wanted = filter.toLowerCase();
  const levels = Object.hasOwn(LEVEL_CHOICES, level) ? LEVEL_CHOICES[level] : undefined;
  if (wanted === "" && !levels) return lines.slice();
  return lines.filter((line) => (!levels || levels.includes(line.level)) && line.text.toLowerCase().includes(wanted));
}

/** How many rows are drawn: few while lines come, then more with each frame. @param {boolean} isLive @param {number} count */
function useRowLimit(isLive, count) {
  const [limit, setLimit] = useState(LIVE_ROWS);
  useEffect(() => {
    if (isLive) return setLimit(LIVE_ROWS);
    if (limit >= count) return undefined;
    const frame = requestAnimationFrame(() => setLimit(limit + MORE_ROWS));
    return () => cancelAnimationFrame(frame);
  }, [isLive, limit, count]);
  return limit;
}

/**
 * Keeps the end of the logs in view while they are live: until somebody scrolls up.
 * @param {boolean} isLive
 * @param {unknown[]} drawn changes with what is drawn
 * @param {(isAtEnd: boolean) => void} onMoved
 */
function useScroll(isLive, drawn, onMoved) {
  const box = useRef(/** @type {HTMLElement | null} */ (null));
  const last = useRef(0);
  useLayoutEffect(() => {
    if (isLive && box.current) box.current.scrollTop = box.current.scrollHeight;
    last.current = box.current?.scrollTop ?? 0;
  }, [isLive, ...drawn]);
  const watchScroll = () => {
    if (!box.current) return;
    const { scrollTop, scrollHeight, clientHeight } = box.current;
    const isAtEnd = scrollHeight - clientHeight - scrollTop < AT_END_PX;
    if (isLive && !isAtEnd && scrollTop < last.current) onMoved(false);
    else if (!isLive && isAtEnd && scrollTop > last.current) onMoved(true);
    last.current = scrollTop;
  };
  return { box, watchScroll };
}

/** @param {LogLine} line @param {ColouredSource | undefined} source it is named if there are several @param {boolean} isRaw */
function row({ key, time, text, level }, source, isRaw) {
  const spans = (isRaw ? undefined : jsonSpans(text)) ?? ansiSpans(text);
  return html`<div key=${key} class=${level}><time title=${time}>${time.slice(11, 23)}</time>${
    source && html`<span class=${`source source-${source.colour}`}>${source.name}</span>`
  }${spans.map((span) => html`<span class=${span.style}>${span.text}</span>`)}</div>`;
}

const isFull = (/** @type {LogReader} */ reader) =>
  reader.beginsAtTime && ([...reader.states.values()].some(({ text }) => text === "full") || reader.window.lines.length >= MAX_LINES);

/** @param {LogReader} reader @param {string} id @param {string} name */
function problemOf(reader, id, name) {
  const error = reader.states.get(id)?.error;
  return error && new Error(`${name}: ${error.message}`);
}

/** Which logs have ended or are opened again. @param {LogReader} reader @param {Map<string, Source>} sources */
function statesText(reader, sources) {
  const namesOf = (/** @type {string} */ text) =>
    [...sources.values()].filter(({ id }) => reader.states.get(id)?.text === text).map(({ name }) => name);
  const told = (/** @type {string[]} */ names, /** @type {string} */ text) =>
    names.length === 0 ? "" : sources.size === 1 ? text : `${names.join(", ")}: ${text}`;
  return [told(namesOf("waiting"), T.logWaits(MAX_LOGS)), told(namesOf("broken"), T.reconnecting), told(namesOf("ended"), T.logEnded)]
    .filter(Boolean)
    .join(" ");
}
