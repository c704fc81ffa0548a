import { call, containerPath } from "./api.js";
import { ACTIONS, listPause, readContainers } from "./containers-page.js";
import { FilesTab } from "./files-tab.js";
import { inspectText } from "./format.js";
import { useMemo } from "./hooks.mjs";
import { LogsView } from "./logs-view.js";
import { StatsTab } from "./stats-tab.js";
import { T } from "./strings.js";
import { TerminalTab } from "./terminal-tab.js";
import { addressOf, html, Link, Missing, navigate, Pending, Problem, usePolled, useRef, useState } from "./view.js";

/** @typedef {import("./format.js").Container} Container */

/** @type {Record<string, {title: string, permission: string, view: (props: {container: Container}) => any}>} */
const TABS = {
  logs: { title: T.logs, permission: "logs", view: LogsTab },
  stats: { title: T.stats, permission: "read", view: StatsTab },
  inspect: { title: T.inspect, permission: "read", view: InspectTab },
  terminal: { title: T.terminal, permission: "exec", view: TerminalTab },
  files: { title: T.files, permission: "files", view: FilesTab },
};

/** @param {{identity: import("./api.js").Identity, parts: string[]}} props the id, and the part of the container that is shown */
export function ContainerPage({ identity, parts: [id = "", wanted = ""] }) {
  const allowed = Object.entries(TABS).filter(([, { permission }]) => identity.can.includes(permission));
  const shown = allowed.some(([name]) => name === wanted) ? wanted : (allowed[0]?.[0] ?? "");
  const { value, error, reload } = usePolled(readContainers, listPause, [id]);
  const [failure, setFailure] = useState(/** @type {Error | undefined} */ (undefined));
  const listed = value?.containers.find((each) => each.id === id || each.name === id);
  const known = useRef(listed);
  if (listed) known.current = listed;
  // What the page has of it stays, logs and shells too: its node may be back later.
  const container = listed ?? known.current;
  const mayExist = listed !== undefined || Boolean(container && value?.missing);
  const view = TABS[shown]?.view;

  async function act(/** @type {string} */ name) {
    if (!container || (name === "remove" && !confirm(T.confirmRemove(1)))) return;
    try {
      await ACTIONS[name]?.run(container);
      setFailure(undefined);
      if (name === "remove") return navigate(addressOf("containers"));
    } catch (thrown) {
      setFailure(/** @type {Error} */ (thrown));
    }
    reload();
  }
  return html`<h1>${container?.name ?? id}</h1>
    <${Missing} nodes=${value?.missing} />
    <${Problem} error=${error ?? failure} /><${Pending} value=${value} error=${error} />
    ${value && !mayExist && html`<p>${T.noSuchContainer}</p>`}
    ${
      container &&
      html`${
        mayExist &&
        html`<p>${container.image} · <span class=${`state ${container.state === "running" ? "good" : "idle"}`}>${container.state}</span> · ${container.status} · ${container.host}</p>
      ${identity.can.includes("containers") && html`<div class="bar">${Object.entries(ACTIONS).map(([name, { title }]) => html`<button onClick=${() => act(name)}>${title}</button>`)}</div>`}`
      }
      <nav class="tabs" aria-label=${T.parts}>${allowed.map(([name, { title }]) => html`<${Link} to=${addressOf("containers", id, name)} current=${name === shown}>${title}</${Link}>`)}</nav>
      ${view && html`<${view} key=${shown + container.id + (shown === "stats" ? container.state : "")} container=${container} />`}`
    }`;
}

/** @param {{container: Container}} props */
function LogsTab({ container }) {
  const containers = useMemo(() => [container], [container]);
  return html`<${LogsView} containers=${containers} />`;
}

/** @param {{container: Container}} props */
function InspectTab({ container }) {
  const [isOpen, setOpen] = useState(false);
  const { value, error } = usePolled((signal) => call("GET", containerPath(container, ""), { signal }), 0, [container.state]);
  return html`<${Problem} error=${error} /><${Pending} value=${value} error=${error} />
    ${
      value &&
      html`<label><input type="checkbox" checked=${isOpen} onChange=${() => setOpen(!isOpen)} /> ${T.showValues}</label>
      <pre tabindex="0" aria-label=${T.inspect}>${inspectText(value, isOpen ? undefined : T.hidden)}</pre>`
    }`;
}
