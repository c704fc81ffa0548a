// What all pages share: templates, addresses, polling, messages.

import { useCallback, useEffect, useLayoutEffect, useMemo, useRef, useState } from "./hooks.mjs";
import htm from "./htm.mjs";
import { h } from "./preact.mjs";
import { T } from "./strings.js";

/** Templates. Each value goes in as text, an attribute or a component: markup in it stays text. */
export const html = htm.bind(/** @type {any} */ (h));
export { useCallback, useEffect, useMemo, useRef, useState };

const BASE = "/console";
const NAVIGATED = "navigated";

/**
 * The address of a page.
 * @param {string[]} parts
 */
export const addressOf = (...parts) => [BASE, ...parts.map(encodeURIComponent)].join("/");

/** @param {string} address */
export function navigate(address) {
  history.pushState(null, "", address);
  dispatchEvent(new Event(NAVIGATED));
}

/** The decoded parts of the address below /console. */
function currentParts() {
  try {
    return location.pathname.slice(BASE.length).split("/").filter(Boolean).map(decodeURIComponent);
  } catch {
    return ["?"];
  }
}

/** The parts of the address, kept up to date. */
export function useAddress() {
  const [parts, setParts] = useState(currentParts);
  useLayoutEffect(() => {
    const update = () => setParts(currentParts());
    for (const name of ["popstate", NAVIGATED]) addEventListener(name, update);
    return () => {
      for (const name of ["popstate", NAVIGATED]) removeEventListener(name, update);
    };
  }, []);
  return parts;
}

/** A value in the query of the address. @param {string} name */
export const queryValue = (name) => new URLSearchParams(location.search).get(name) ?? "";

/** Changes values in the query of the address, in place; empty ones are left out. @param {Record<string, string>} values */
export function changeQuery(values) {
  const query = new URLSearchParams(location.search);
  for (const [name, value] of Object.entries(values)) {
    if (value === "") query.delete(name);
    else query.set(name, value);
  }
  history.replaceState(null, "", location.pathname + (query.size > 0 ? `?${query}` : ""));
}

/** @param {{to: string, current?: boolean, class?: string, children?: unknown}} props */
export function Link({ to, current, children, class: style }) {
  const follow = (/** @type {MouseEvent} */ event) => {
    if (event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    event.preventDefault();
    navigate(to);
  };
  return html`<a href=${to} class=${style} aria-current=${current ? "page" : undefined} onClick=${follow}>${children}</a>`;
}

/**
 * Loads a value again and again while the tab is shown.
 * @template Value
 * @param {(signal: AbortSignal) => Promise<Value>} load
 * @param {number | ((value: Value | undefined) => number)} pauseMs between two loads, perhaps by what was loaded; 0 to load once
 * @param {unknown[]} [dependencies]
 * @returns {{value: Value | undefined, error: Error | undefined, reload: () => void}}
 */
export function usePolled(load, pauseMs, dependencies = []) {
  const [state, setState] = useState(
    /** @type {{value: Value | undefined, error: Error | undefined}} */ ({ value: undefined, error: undefined }),
  );
  const [round, setRound] = useState(0);
  useEffect(() => {
    const ended = new AbortController();
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    let timer;
    /** @type {Value | undefined} */
    let last;
    const run = async () => {
      clearTimeout(timer);
      timer = undefined;
      if (document.hidden) return;
      try {
        const value = await load(ended.signal);
        last = value;
        if (!ended.signal.aborted) setState({ value, error: undefined });
      } catch (error) {
        if (!ended.signal.aborted) setState((before) => ({ ...before, error: /** @type {Error} */ (error) }));
      }
      const pause = typeof pauseMs === "number" ? pauseMs : pauseMs(last);
      if (!ended.signal.aborted && pause > 0) timer = setTimeout(run, pause);
    };
    const resume = () => {
      if (!document.hidden) void run();
    };
    document.addEventListener("visibilitychange", resume);
    void run();
    return () => {
      ended.abort();
      clearTimeout(timer);
      document.removeEventListener("visibilitychange", resume);
    };
  }, [round, ...dependencies]);
  return { ...state, reload: useCallback(() => setRound((before) => before + 1), []) };
}

/** @param {{error: Error | undefined}} props */
export const Problem = ({ error }) => error && html`<p class="problem" role="alert">${error.message}</p>`;

/** So many missing nodes are named. */
const MAX_NAMED = 20;

/** Tells which nodes a merged answer lacks. @param {{nodes: string | undefined}} props their names with commas; empty if none */
export function Missing({ nodes }) {
  if (!nodes) return null;
  const names = nodes.split(", ");
  const more = names.length > MAX_NAMED ? T.andMore(names.length - MAX_NAMED) : "";
  return html`<p class="problem" role="alert">${T.missing}${names.slice(0, MAX_NAMED).join(", ")}${more}</p>`;
}

/** @param {{text: string}} props */
export const Notice = ({ text }) => html`<p class="notice" role="status" aria-live="polite">${text}</p>`;

/** @param {{value: unknown, error: Error | undefined}} props */
export const Pending = ({ value, error }) => !value && !error && html`<p role="status">${T.loading}</p>`;

/**
 * A field with its label.
 * @param {{label: string, value: string, onInput: (value: string) => void, rows?: number, type?: string, id?: string, required?: boolean, placeholder?: string, autocomplete?: string}} props
 */
export function Field({ label, value, onInput, rows, ...rest }) {
  const change = (/** @type {{currentTarget: {value: string}}} */ event) => onInput(event.currentTarget.value);
  return html`<label class="field"><span>${label}</span>
    ${rows ? html`<textarea rows=${rows} value=${value} onInput=${change} ...${rest} spellcheck=${false} />` : html`<input value=${value} onInput=${change} ...${rest} spellcheck=${false} />`}
  </label>`;
}

/**
 * A table, which scrolls by itself where the screen is narrow.
 * @param {{label: string, heads: unknown[], children?: unknown}} props
 */
export const Table = ({ label, heads, children }) =>
  html`<div class="scroll" tabindex="0" role="region" aria-label=${label}><table>
    <thead><tr>${heads.map((head) => html`<th scope="col">${head}</th>`)}</tr></thead><tbody>${children}</tbody></table></div>`;
