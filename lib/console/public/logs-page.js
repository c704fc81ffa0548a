import { logsAddress, readContainers } from "./containers-page.js";
import { useMemo } from "./hooks.mjs";
import { MAX_LOGS } from "./log-reader.js";
import { LogsView } from "./logs-view.js";
import { T } from "./strings.js";
import { Field, html, Missing, Notice, navigate, Pending, Problem, queryValue, usePolled, useState } from "./view.js";

/** @typedef {import("./log-reader.js").Source} Source */

const LIST_PAUSE_MS = 3000;

/** @param {string} text names with commas */
const namesIn = (text) =>
  text
    .split(",")
    .map((name) => name.trim())
    .filter(Boolean);

/** The logs of the containers that the address names. @param {{identity: import("./api.js").Identity}} props */
export function LogsPage({ identity }) {
  const text = queryValue("containers");
  const canRead = identity.can.includes("read");
  const names = useMemo(() => [...new Set(namesIn(text))], [text]);
  // By name: another one doesn't take the place of a container that is missing from the list for a while.
  const [followed, others] = useMemo(() => [names.slice(0, MAX_LOGS), names.slice(MAX_LOGS)], [names]);
  const { value, error } = usePolled(async (signal) => (canRead ? readContainers(signal) : undefined), canRead ? LIST_PAUSE_MS : 0);
  const isNamed = (/** @type {Source} */ { id, name }) => followed.includes(name) || followed.includes(id);
  /** @type {Source[]} */
  const found = useMemo(
    () => (canRead ? (value?.containers ?? []).filter(isNamed) : followed.map((name) => ({ id: name, name }))),
    [value, followed, canRead],
  );
  const unknown = value ? followed.filter((wanted) => !found.some(({ id, name }) => id === wanted || name === wanted)) : [];
  return html`<h1>${T.followLogs}</h1><${Missing} nodes=${value?.missing} />
    <${NamesForm} key=${text} names=${names} /><${Problem} error=${error} />
    ${names.length === 0 ? html`<p>${T.chooseLogs}</p>` : canRead && html`<${Pending} value=${value} error=${error} />`}
    ${unknown.length > 0 && html`<${Notice} text=${T.unknownContainers(unknown.join(", "))} />`}
    ${others.length > 0 && html`<${Notice} text=${T.tooManyLogs(MAX_LOGS, others.join(", "))} />`}
    ${names.length > 0 && (value || !canRead) && html`<${LogsView} key=${names.join(",")} containers=${found} />`}`;
}

/** @param {{names: string[]}} props */
function NamesForm({ names }) {
  const [text, setText] = useState(names.join(", "));
  const submit = (/** @type {Event} */ event) => {
    event.preventDefault();
    navigate(logsAddress(namesIn(text)));
  };
  return html`<form class="bar" onSubmit=${submit}><${Field} label=${T.namesOfContainers} value=${text} onInput=${setText} /><button type="submit">${T.open}</button></form>`;
}
