// Pure functions on what the API answers.

/**
 * A container as `GET /` answers it.
 * @typedef {object} Container
 * @property {string} id
 * @property {string} name
 * @property {string} image
 * @property {string} command
 * @property {string} created
 * @property {string} state
 * @property {string} status
 * @property {{host_ip?: string, host?: number, container: number, protocol: string}[]} ports
 * @property {Record<string, string>} labels
 * @property {string} host
 */

const UNITS = ["B", "kB", "MB", "GB", "TB"];

/**
 * A size for people, in units of 1000.
 * @param {number} bytes
 */
export function formatBytes(bytes) {
  let value = bytes;
  let unit = 0;
  while (value >= 999.5 && unit < UNITS.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${unit === 0 || value >= 99.95 ? Math.round(value) : value.toFixed(1)} ${UNITS[unit]}`;
}

/**
 * A time in the reader's own zone.
 * @param {string | number | null | undefined} time ISO 8601, or ms since 1970
 */
export function formatTime(time) {
  const date = new Date(time ?? Number.NaN);
  return Number.isNaN(date.getTime()) ? "" : date.toLocaleString();
}

/**
 * Ports as Docker writes them; each published port once, though it is bound to several addresses.
 * @param {Container["ports"]} ports
 */
export function formatPorts(ports) {
  const texts = ports.map((each) => `${each.host === undefined ? "" : `${each.host}→`}${each.container}/${each.protocol}`);
  return [...new Set(texts)].join(", ");
}

/**
 * The health that Docker tells in its status text; empty without a health check.
 * @param {string} status such as "Up 3 minutes (healthy)"
 */
export function healthOf(status) {
  const [, health = ""] = /\((healthy|unhealthy|health: starting)\)$/.exec(status) ?? [];
  return health.replace("health: ", "");
}

/** @param {Container} container */
export const projectOf = ({ labels }) => labels["com.docker.compose.project"] ?? "";

/** What a filter looks at, by container: it is made once, for all that is typed. @type {WeakMap<Container, string>} */
const searchTexts = new WeakMap();

/**
 * All that a filter looks at, in lower case.
 * @param {Container} container
 */
export function searchTextOf(container) {
  const known = searchTexts.get(container);
  if (known !== undefined) return known;
  const { name, image, state, status, host, id, labels } = container;
  let text = `${name}\n${image}\n${state}\n${status}\n${host}\n${id}`;
  for (const key in labels) text += `\n${key}=${labels[key]}`;
  const lower = text.toLowerCase();
  searchTexts.set(container, lower);
  return lower;
}

/** A few milliseconds of work. */
const PREPARED_AT_ONCE = 1000;

/**
 * Makes the texts that a filter looks at, some at a time: for a large list that takes longer than a frame.
 * @param {Container[]} containers
 */
export async function prepareFilter(containers) {
  for (let next = 0; next < containers.length; next += PREPARED_AT_ONCE) {
    if (next > 0) await new Promise((resolve) => setTimeout(resolve));
    for (const each of containers.slice(next, next + PREPARED_AT_ONCE)) searchTextOf(each);
  }
}

/**
 * The items that have each word of a filter somewhere in their text, in any case.
 * @template Item
 * @param {Item[]} items
 * @param {string} filter
 * @param {(item: Item) => string} textOf in lower case
 */
function filterBy(items, filter, textOf) {
  const words = filter.toLowerCase().split(/\s+/).filter(Boolean);
  if (words.length === 0) return items;
  return items.filter((item) => {
    const text = textOf(item);
    return words.every((word) => text.includes(word));
  });
}

/**
 * The containers that have each word of a filter somewhere in what is shown of them.
 * @param {Container[]} containers
 * @param {string} filter
 */
export const filterContainers = (containers, filter) => filterBy(containers, filter, searchTextOf);

/**
 * A node as `GET /nodes` answers it.
 * @typedef {{name: string, reachable: boolean, reason?: string, load?: number, cpu?: number, memory?: number, engine: string, version: string, docker: string | null,
 *   containers?: number, runs?: {running: number, waiting: number}, accepting?: boolean}} Node
 */

/**
 * The nodes that have each word of a filter somewhere in what is shown of them.
 * @param {Node[]} nodes
 * @param {string} filter
 */
export const filterNodes = (nodes, filter) =>
  filterBy(nodes, filter, ({ name, reason = "", engine, version, docker }) =>
    [name, reason, engine, version, docker].join("\n").toLowerCase(),
  );

/**
 * The containers of each Compose project, by its name; those without a project last, under an empty name.
 * @param {Container[]} containers
 * @returns {[string, Container[]][]}
 */
export function groupByProject(containers) {
  /** @type {Map<string, Container[]>} */
  const groups = new Map();
  for (const each of containers) {
    const group = groups.get(projectOf(each));
    if (group) group.push(each);
    else groups.set(projectOf(each), [each]);
  }
  return [...groups].sort(([a], [b]) => Number(a === "") - Number(b === "") || (a < b ? -1 : 1));
}

/**
 * The inspected container as text, with the values of its environment hidden unless they are asked for.
 * @param {Record<string, unknown>} inspected
 * @param {string | undefined} hidden stands for each value; undefined to show them
 */
export function inspectText(inspected, hidden) {
  const env = /** @type {Record<string, string>} */ (inspected["env"] ?? {});
  const shown = hidden === undefined ? env : Object.fromEntries(Object.keys(env).map((name) => [name, hidden]));
  return JSON.stringify("env" in inspected ? { ...inspected, env: shown } : inspected, null, 2);
}

/**
 * The field `placement` of an answer that was asked for with `?explain=true`.
 * @typedef {{node: string, declines?: string, cpu: number, memory: number, reservedCpu: number, reservedMemory: number, recent: number,
 *   hasImage: boolean, hasVolumes: boolean}} Bid
 * @typedef {{chosen: string, order: {node: string, ahead: number, load: number}[], bids: Bid[]}} Placement
 */

/**
 * The bids, the best first; then those of nodes that declined, without a load.
 * @param {Placement} placement
 * @returns {{bid: Bid, load?: number, ahead?: number}[]}
 */
export function placementRows({ order, bids }) {
  const ranked = order.flatMap(({ node, load, ahead }) => bids.filter((bid) => bid.node === node).map((bid) => ({ bid, load, ahead })));
  return [...ranked, ...bids.filter(({ node }) => !order.some((each) => each.node === node)).map((bid) => ({ bid }))];
}

/**
 * Whether a client may be told who bid what for its run.
 * @param {{can: string[], caveats?: {labels?: unknown}[]}} identity
 */
export const mayExplain = ({ can, caveats = [] }) => can.includes("nodes") && caveats.every(({ labels }) => labels === undefined);

/** How a code run was served; texts, absent if not told. @typedef {{start: string, time?: string, output?: string, memory?: string, cpus?: string, pids?: string, network?: string}} SandboxFacts */

/**
 * Reads the header X-Run-Sandbox.
 * @param {string} header such as `warm;time=20;memory=1000000000`
 * @returns {SandboxFacts}
 */
export function sandboxOf(header) {
  const [start = "", ...parameters] = header.split(";");
  /** @type {Record<string, string>} */
  const facts = Object.fromEntries(parameters.map((each) => each.split("=")));
  for (const name of ["output", "memory"]) if (facts[name] !== undefined) facts[name] = formatBytes(Number(facts[name]));
  return { ...facts, start };
}
