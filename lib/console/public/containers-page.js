import { call, containerPath, send } from "./api.js";
import { filterContainers, formatBytes, formatPorts, groupByProject, healthOf, prepareFilter } from "./format.js";
import { T } from "./strings.js";
import {
  addressOf,
  Field,
  html,
  Link,
  Missing,
  navigate,
  Pending,
  Problem,
  useEffect,
  useMemo,
  usePolled,
  useRef,
  useState,
} from "./view.js";
import { VirtualTable } from "./virtual-table.js";

/** @typedef {import("./format.js").Container} Container */
/** @typedef {{cpu_percent: number, memory: number}} Usage */

/** The list is read again after so long, and this much later for each container in it: reading a large one takes the browser a while. */
const LIST_PAUSE_MS = 3000;
const LIST_PAUSE_MS_EACH = 0.5;
/** The engine measures each container for a second or two: the usage of so many is asked for, and so seldom. */
const MEASURED_ROWS = 20;
const USAGE_PAUSE_MS = 30_000;
const MEASURED_AT_ONCE = 4;
const ACTIONS_AT_ONCE = 8;
const MAX_FAILURES_SHOWN = 20;

/** A row of the list: a container, or the heading of a project with its containers. @typedef {Container | {project: string, containers: Container[]}} Row */

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

/** @param {{containers: Container[]} | undefined} list @returns ms until it is read again */
export const listPause = (list) => LIST_PAUSE_MS + LIST_PAUSE_MS_EACH * (list?.containers.length ?? 0);

/** The address of the logs of containers. @param {string[]} names */
export const logsAddress = (names) => `${addressOf("logs")}?${new URLSearchParams({ containers: names.join(",") })}`;

/** @param {AbortSignal} signal */
export async function readContainers(signal) {
  const response = await send("GET", "/", { signal });
  return { containers: /** @type {Container[]} */ (await response.json()), missing: response.headers.get("X-Cluster-Missing") ?? "" };
}

/**
 * Runs an action for each item, a few at the same time.
 * @template Item, Result
 * @param {Item[]} items
 * @param {number} atOnce
 * @param {(item: Item) => Promise<Result>} run
 * @returns {Promise<Result[]>} in the order of their ends
 */
async function runInTurns(items, atOnce, run) {
  const waiting = items.values();
  /** @type {Result[]} */
  const results = [];
  const work = async () => {
    for (const item of waiting) results.push(await run(item));
  };
  await Promise.all(Array.from({ length: atOnce }, work));
  return results;
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
    (signal) =>
      runInTurns(wanted.current, MEASURED_AT_ONCE, async (container) => {
        if (signal.aborted || document.hidden) return;
        const usage = await call("GET", containerPath(container, "/stats"), { signal }).catch(() => undefined);
        if (usage && !signal.aborted) setUsages((before) => ({ ...before, [container.id]: usage }));
      }),
    USAGE_PAUSE_MS,
    [wanted.current.map(({ id }) => id).join(" ")],
  );
  return usages;
}

/** Reads the list, ready for a filter. @param {AbortSignal} signal */
async function readFilterable(signal) {
  const list = await readContainers(signal);
  await prepareFilter(list.containers);
  return list;
}

/** @param {{identity: import("./api.js").Identity}} props */
export function ContainersPage({ identity }) {
  const { value, error, reload } = usePolled(readFilterable, listPause);
  const [filter, setFilter] = useState(() => new URLSearchParams(location.search).get("filter") ?? "");
  const [isGrouped, setGrouped] = useState(true);
  const [chosen, setChosen] = useState(/** @type {Set<string>} */ (new Set()));
  const [outcome, setOutcome] = useState(/** @type {string[]} */ ([]));
  const [inView, setInView] = useState(/** @type {Row[]} */ ([]));
  useEffect(() => {
    const query = filter === "" ? "" : `?filter=${encodeURIComponent(filter)}`;
    history.replaceState(null, "", location.pathname + query);
  }, [filter]);
  const found = useMemo(() => filterContainers(value?.containers ?? [], filter), [value, filter]);
  const rows = useMemo(
    () =>
      isGrouped
        ? groupByProject(found).flatMap(([project, containers]) => /** @type {Row[]} */ ([{ project, containers }, ...containers]))
        : found,
    [found, isGrouped],
  );
  const usages = useUsage(inView.filter((row) => "id" in row).filter(({ state }) => state === "running"));
  const selected = useMemo(() => found.filter(({ id }) => chosen.has(id)), [found, chosen]);
  const mayChange = identity.can.includes("containers");
  const mayReadLogs = identity.can.includes("logs");
  const maySelect = mayChange || mayReadLogs;

  async function act(/** @type {string} */ name) {
    const action = ACTIONS[name];
    if (!action || (name === "remove" && !confirm(T.confirmRemove(selected.length)))) return;
    const results = await runInTurns(selected, ACTIONS_AT_ONCE, (each) =>
      action.run(each).then(
        () => [],
        (/** @type {Error} */ failure) => [`${each.name}: ${failure.message}`],
      ),
    );
    const failures = results.flat();
    const more = failures.length > MAX_FAILURES_SHOWN ? [T.andMore(failures.length - MAX_FAILURES_SHOWN)] : [];
    setOutcome(failures.length > 0 ? [...failures.slice(0, MAX_FAILURES_SHOWN), ...more] : [T.done(action.title)]);
    setChosen(new Set());
    reload();
  }
  const box = (/** @type {string} */ label, /** @type {Container[]} */ containers) => {
    const change = (/** @type {any} */ event) => {
      const ids = new Set(containers.map(({ id }) => id));
      const isChosen = event.currentTarget.checked;
      setChosen((before) => new Set(isChosen ? [...before, ...ids] : [...before].filter((id) => !ids.has(id))));
    };
    return html`<input type="checkbox" aria-label=${label} checked=${containers.every(({ id }) => chosen.has(id))} onChange=${change} />`;
  };

  const columns = [
    ...(maySelect ? [{ head: box(T.selectAll, found), width: "2.6rem" }] : []),
    { head: T.name, width: "auto" },
    { head: T.image, width: "auto" },
    { head: T.state, width: "6rem" },
    { head: T.health, width: "6.6rem" },
    { head: T.cpu, width: "5rem" },
    { head: T.memory, width: "6rem" },
    { head: T.ports, width: "11rem" },
    { head: T.node, width: "10rem" },
  ];
  const cells = (/** @type {Row} */ row) => {
    if ("containers" in row) {
      const project = row.project || T.noProject;
      return html`${maySelect && html`<td>${box(T.selectAllOf(project), row.containers)}</td>`}
        <th scope="rowgroup" colspan=${columns.length - (maySelect ? 1 : 0)} title=${project}><h2>${project}</h2></th>`;
    }
    const usage = row.state === "running" ? usages[row.id] : undefined;
    const health = healthOf(row.status);
    return html`${maySelect && html`<td>${box(T.select(row.name), [row])}</td>`}
      <th scope="row" title=${row.name}><${Link} to=${addressOf("containers", row.id)}>${row.name}</${Link}></th>
      <td title=${row.image}>${row.image}</td><td title=${row.status}><span class=${`state ${row.state === "running" ? "good" : "idle"}`}>${row.state}</span></td>
      <td><span class=${health === "unhealthy" ? "state bad" : ""}>${health}</span></td>
      <td class="number">${usage && `${usage.cpu_percent.toFixed(1)} %`}</td><td class="number">${usage && formatBytes(usage.memory)}</td>
      <td title=${formatPorts(row.ports)}>${formatPorts(row.ports)}</td><td title=${row.host}>${row.host}</td>`;
  };
  return html`<h1>${T.containers}</h1>
    <${Missing} nodes=${value?.missing} />
    <${Problem} error=${error} />
    <div class="bar"><${Field} label=${T.filter} id="filter" type="search" placeholder=${T.filterHint} value=${filter} onInput=${setFilter} />
      <label><input type="checkbox" checked=${isGrouped} onChange=${() => setGrouped(!isGrouped)} /> ${T.group}</label>
      ${value && html`<span role="status">${T.shownOf(found.length, value.containers.length)}</span>`}
      ${maySelect && html`<span>${T.selected(selected.length)}</span>`}
      ${mayChange && Object.entries(ACTIONS).map(([name, { title }]) => html`<button disabled=${selected.length === 0} onClick=${() => act(name)}>${title}</button>`)}
      ${mayReadLogs && html`<button disabled=${selected.length === 0} onClick=${() => navigate(logsAddress(selected.map(({ name }) => name)))}>${T.followLogs}</button>`}</div>
    <div role="status" aria-live="polite">${outcome.map((line) => html`<p class="notice">${line}</p>`)}</div>
    <${Pending} value=${value} error=${error} />
    ${value && found.length === 0 && html`<p>${T.none}</p>`}
    ${
      found.length > 0 &&
      html`<${VirtualTable} label=${T.containers} columns=${columns} rows=${rows} keyOf=${keyOf} cells=${cells} top=${filter + isGrouped} onRest=${setInView} />`
    }`;
}

const keyOf = (/** @type {Row} */ row) => ("id" in row ? `${row.host}/${row.id}` : `project/${row.project}`);
