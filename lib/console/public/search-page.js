import { linesOf, send } from "./api.js";
import { ansiSpans } from "./log-text.js";
import { T } from "./strings.js";
import { addressOf, Field, html, Link, Missing, Notice, Problem, Table, useEffect, useRef, useState } from "./view.js";

const LIMIT = "500";

/** @typedef {{node: string, id: string, name: string, time: string, stream: string, line: string}} Hit a line that was found */
/** @typedef {{complete: boolean, missing: {node: string, reason: string}[], truncated: string | null, unreadable: string[]}} Result */

const NOTHING = { hits: /** @type {Hit[]} */ ([]), result: /** @type {Result | undefined} */ (undefined), isSearching: false };

/** The newest first; the nodes tell of their lines as they find them. @param {Hit} a @param {Hit} b */
const byNewest = (a, b) => (a.time === b.time ? 0 : a.time < b.time ? 1 : -1);

/** @param {{identity: import("./api.js").Identity}} props */
export function SearchPage({ identity }) {
  const [query, setQuery] = useState({ q: "", since: "1h", until: "", containers: "" });
  const [state, setState] = useState(NOTHING);
  const [failure, setFailure] = useState(/** @type {Error | undefined} */ (undefined));
  const running = useRef(/** @type {AbortController | undefined} */ (undefined));
  useEffect(() => () => running.current?.abort(), []);

  const search = async (/** @type {Event} */ event) => {
    event.preventDefault();
    running.current?.abort();
    const ended = new AbortController();
    running.current = ended;
    const { signal } = ended;
    setFailure(undefined);
    setState({ ...NOTHING, isSearching: true });
    const given = Object.entries(query).filter(([, value]) => value !== "");
    /** @type {Hit[]} */
    let hits = [];
    try {
      const path = `/logs/search?${new URLSearchParams([...given, ["limit", LIMIT]])}`;
      for await (const lines of linesOf(await send("GET", path, { accept: "application/x-ndjson", signal }))) {
        const events = lines.filter((line) => line !== "").map((line) => JSON.parse(line));
        const last = events.at(-1);
        if (last?.event === "error") throw new Error(last.message);
        hits = [...hits, ...events.filter((each) => each.event === undefined)].sort(byNewest);
        setState({ hits, result: last?.event === "result" ? last : undefined, isSearching: last?.event !== "result" });
      }
    } catch (error) {
      if (signal.aborted) return;
      setFailure(/** @type {Error} */ (error));
      setState({ hits, result: undefined, isSearching: false });
    }
  };

  const change = (/** @type {string} */ name) => (/** @type {string} */ value) => setQuery((before) => ({ ...before, [name]: value }));
  const { hits, result, isSearching } = state;
  const missing = result?.missing ?? [];
  const unread = result !== undefined && (result.truncated !== null || result.unreadable.length > 0);
  return html`<h1>${T.search}</h1>
    <form class="bar" onSubmit=${search}>
      <${Field} label=${T.query} id="filter" type="search" required value=${query.q} onInput=${change("q")} />
      <${Field} label=${T.since} placeholder=${T.sinceHint} value=${query.since} onInput=${change("since")} />
      <${Field} label=${T.until} placeholder=${T.sinceHint} value=${query.until} onInput=${change("until")} />
      <${Field} label=${T.ofContainers} value=${query.containers} onInput=${change("containers")} /><button type="submit">${T.find}</button></form>
    <${Problem} error=${failure} />
    <${Missing} nodes=${missing.map(({ node, reason }) => `${node} (${reason})`).join(", ")} />
    ${unread && html`<p class="problem" role="alert">${T.cut} ${result.unreadable.join(", ")}</p>`}
    <${Notice} text=${isSearching ? T.searching : result ? T.found(hits.length) : ""} />
    ${
      hits.length > 0 &&
      html`<${Table} label=${T.search} heads=${[T.time, T.name, T.node, T.logs]}>${hits.map(
        (each) => html`<tr><td><time>${each.time.slice(0, 23).replace("T", " ")}</time></td>
          <td>${identity.can.includes("read") ? html`<${Link} to=${addressOf("containers", each.id, "logs")}>${each.name}</${Link}>` : each.name}</td><td>${each.node}</td>
          <td class="found">${ansiSpans(each.line).map((span) => html`<span class=${span.style}>${span.text}</span>`)}</td></tr>`,
      )}</${Table}>`
    }`;
}
