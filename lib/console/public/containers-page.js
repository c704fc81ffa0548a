import { call, containerPath, send } from "./api.js";
import { formatBytes, formatPorts, groupByProject, healthOf, matchesFilter } from "./format.js";
import { T } from "./strings.js";
import { addressOf, Field, html, Link, Missing, Pending, Problem, Table, useEffect, usePolled, useRef, useState } from "./view.js";

/** @typedef {import("./format.js").Container} Container */
/** @typedef {{cpu_percent: number, memory: number}} Usage */

const LIST_PAUSE_MS = 3000;
/** The engine measures each container for a second or two: the usage of so many is asked for, and so seldom. */
const MEASURED_ROWS = 20;
const USAGE_PAUSE_MS = 30_000;
const MEASURED_AT_ONCE = 4;
/** Rows that are drawn at once; a filter finds the others. */
const MAX_ROWS = 500;

/**
 * Acts on a container.
 * @type {Record<string, {title: string, run: (container: Container) => Promise<unknown>}>}
 */
export const ACTIONS = {
  start: { title: T.start, run: (container) => call("POST", containerPath(container, "/start")) },
  stop: { title: T.stop, run: (container) => call("POST", containerPath(container, "/stop")) },
  restart: { title: T.restart, run: (container) => call("POST", containerPath(container, "/restart")) },
  remove: {
    title: T.remove,
    run: (container) => call("DELETE", `/${encodeURIComponent(container.id)}?node=${encodeURIComponent(container.host)}`),
  },
};

/** @param {AbortSignal} signal */
export async function readContainers(signal) {
  const response = await send("GET", "/", { signal });
  return { containers: /** @type {Container[]} */ (await response.json()), missing: response.headers.get("X-Cluster-Missing") ?? "" };
}

/**
 * What the first of these containers use, measured now and then while the tab is shown.
 * @param {Container[]} running
 */
function useUsage(running) {
  const [usages, setUsages] = useState(/** @type {Record<string, Usage>} */ ({}));
  const wanted = useRef(running);
  wanted.current = running.slice(0, MEASURED_ROWS);
  usePolled(
    async (signal) => {
      const waiting = [...wanted.current];
      const measure = async () => {
        for (let next = waiting.shift(); next && !signal.aborted && !document.hidden; next = waiting.shift()) {
          const { id } = next;
          const usage = await call("GET", containerPath(next, "/stats"), { signal }).catch(() => undefined);
          if (usage && !signal.aborted) setUsages((before) => ({ ...before, [id]: usage }));
        }
      };
      await Promise.all(Array.from({ length: MEASURED_AT_ONCE }, measure));
    },
    USAGE_PAUSE_MS,
    [wanted.current.map(({ id }) => id).join(" ")],
  );
  return usages;
}

/** @param {{identity: import("./api.js").Identity}} props */
export function ContainersPage({ identity }) {
  const { value, error, reload } = usePolled(readContainers, LIST_PAUSE_MS);
  const [filter, setFilter] = useState(() => new URLSearchParams(location.search).get("filter") ?? "");
  const [isGrouped, setGrouped] = useState(true);
  const [chosen, setChosen] = useState(/** @type {Set<string>} */ (new Set()));
  const [outcome, setOutcome] = useState(/** @type {string[]} */ ([]));
  useEffect(() => {
    const query = filter === "" ? "" : `?filter=${encodeURIComponent(filter)}`;
    history.replaceState(null, "", location.pathname + query);
  }, [filter]);
  const found = (value?.containers ?? []).filter((each) => matchesFilter(each, filter));
  const shown = found.slice(0, MAX_ROWS);
  const usages = useUsage(shown.filter(({ state }) => state === "running"));
  const selected = found.filter(({ id }) => chosen.has(id));
  const mayChange = identity.can.includes("containers");

  async function act(/** @type {string} */ name) {
    const action = ACTIONS[name];
    if (!action || (name === "remove" && !confirm(T.confirmRemove(selected.length)))) return;
    const results = await Promise.all(
      selected.map((each) =>
        action.run(each).then(
          () => [],
          (/** @type {Error} */ failure) => [`${each.name}: ${failure.message}`],
        ),
      ),
    );
    const failures = results.flat();
    setOutcome(failures.length > 0 ? failures : [T.done(action.title)]);
    setChosen(new Set());
    reload();
  }
  const toggle = (/** @type {string[]} */ ids, /** @type {boolean} */ isChosen) =>
    setChosen((before) => new Set(isChosen ? [...before, ...ids] : [...before].filter((id) => !ids.includes(id))));

  const row = (/** @type {Container} */ each) => {
    const usage = each.state === "running" ? usages[each.id] : undefined;
    return html`<tr key=${each.host + each.id}>
      ${mayChange && html`<td><input type="checkbox" aria-label=${T.select(each.name)} checked=${chosen.has(each.id)} onChange=${(/** @type {any} */ event) => toggle([each.id], event.currentTarget.checked)} /></td>`}
      <th scope="row"><${Link} to=${addressOf("containers", each.id)}>${each.name}</${Link}></th>
      <td>${each.image}</td><td title=${each.status}><span class=${`state ${each.state === "running" ? "good" : "idle"}`}>${each.state}</span></td>
      <td><span class=${healthOf(each.status) === "unhealthy" ? "state bad" : ""}>${healthOf(each.status)}</span></td>
      <td class="number">${usage && `${usage.cpu_percent.toFixed(1)} %`}</td><td class="number">${usage && formatBytes(usage.memory)}</td>
      <td>${formatPorts(each.ports)}</td><td>${each.host}</td></tr>`;
  };
  const table = (/** @type {string} */ label, /** @type {Container[]} */ containers) => {
    const ids = containers.map(({ id }) => id);
    const head = html`<input type="checkbox" aria-label=${T.selectAll} checked=${ids.every((id) => chosen.has(id))} onChange=${(/** @type {any} */ event) => toggle(ids, event.currentTarget.checked)} />`;
    const heads = [...(mayChange ? [head] : []), T.name, T.image, T.state, T.health, T.cpu, T.memory, T.ports, T.node];
    return html`<${Table} label=${label} heads=${heads}>${containers.map(row)}</${Table}>`;
  };
  return html`<h1>${T.containers}</h1>
    <${Missing} nodes=${value?.missing} />
    <${Problem} error=${error} />
    <div class="bar"><${Field} label=${T.filter} id="filter" type="search" placeholder=${T.filterHint} value=${filter} onInput=${setFilter} />
      <label><input type="checkbox" checked=${isGrouped} onChange=${() => setGrouped(!isGrouped)} /> ${T.group}</label>
      ${mayChange && html`<span>${T.selected(selected.length)}</span>`}
      ${mayChange && Object.entries(ACTIONS).map(([name, { title }]) => html`<button disabled=${selected.length === 0} onClick=${() => act(name)}>${title}</button>`)}</div>
    <div role="status" aria-live="polite">${outcome.map((line) => html`<p class="notice">${line}</p>`)}</div>
    <${Pending} value=${value} error=${error} />
    ${value && found.length === 0 && html`<p>${T.none}</p>`}
    ${found.length > MAX_ROWS && html`<p class="notice">${T.firstOf(MAX_ROWS, found.length)}</p>`}
    ${
      shown.length > 0 &&
      (isGrouped
        ? groupByProject(shown).map(
            ([project, containers]) =>
              html`<section key=${project}><h2>${project || T.noProject}</h2>${table(project || T.noProject, containers)}</section>`,
          )
        : table(T.containers, shown))
    }`;
}
