import { logsAddress, readContainers } from "./containers-page.js";
import { useMemo } from "./hooks.mjs";
import { LogsView } from "./logs-view.js";
import { T } from "./strings.js";
import { Field, html, Missing, Notice, navigate, Pending, Problem, queryValue, usePolled, useState } from "./view.js";

/** @typedef {import("./log-reader.js").Source} Source */

const LIST_PAUSE_MS = 3000;
/** A browser opens six connections to a server: two are left for everything else. */
const MAX_LOGS = 4;

/** The logs of the containers that the address names. @param {{identity: import("./api.js").Identity}} props */
export function LogsPage({ identity }) {
  const text = queryValue("containers");
  const canRead = identity.can.includes("read");
  const names = useMemo(() => [...new Set(text.split(",").map((name) => name.trim()))].filter(Boolean), [text]);
  const { value, error } = usePolled(async (signal) => (canRead ? readContainers(signal) : undefined), canRead ? LIST_PAUSE_MS : 0);
  const isNamed = (/** @type {Source} */ { id, name }) => names.includes(name) || names.includes(id);
  /** @type {Source[]} */
  const found = useMemo(
    () => (canRead ? (value?.containers ?? []).filter(isNamed) : names.map((name) => ({ id: name, name }))),
    [value, names, canRead],
  );
  const shown = useMemo(() => found.slice(0, MAX_LOGS), [found]);
  const unknown = value ? names.filter((wanted) => !found.some(({ id, name }) => id === wanted || name === wanted)) : [];
  return html`<h1>${T.followLogs}</h1><${Missing} nodes=${value?.missing} />
    <${NamesForm} key=${text} names=${names} /><${Problem} error=${error} />
    ${names.length === 0 ? html`<p>${T.chooseLogs}</p>` : canRead && html`<${Pending} value=${value} error=${error} />`}
    ${unknown.length > 0 && html`<${Notice} text=${T.unknownContainers(unknown.join(", "))} />`}
    ${
      found.length > MAX_LOGS &&
      html`<${Notice} text=${T.tooManyLogs(
        MAX_LOGS,
        found
          .slice(MAX_LOGS)
          .map(({ name }) => name)
          .join(", "),
      )} />`
    }
    ${names.length > 0 && (value || !canRead) && html`<${LogsView} key=${names.join(",")} containers=${shown} />`}`;
}

/** @param {{names: string[]}} props */
function NamesForm({ names }) {
  const [text, setText] = useState(names.join(", "));
  const submit = (/** @type {Event} */ event) => {
    event.preventDefault();
    navigate(
      logsAddress(
        text
          .split(",")
          .map((name) => name.trim())
          .filter(Boolean),
      ),
    );
  };
  return html`<form class="bar" onSubmit=${submit}><${Field} label=${T.namesOfContainers} value=${text} onInput=${setText} /><button type="submit">${T.open}</button></form>`;
}
