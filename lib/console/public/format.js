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

/**
 * Whether a container has each word of a filter somewhere in what is shown of it, in any case.
 * @param {Container} container
 * @param {string} filter
 */
export function matchesFilter(container, filter) {
  const { name, image, state, status, host, id, labels } = container;
  const text = [name, image, state, status, host, id, ...Object.entries(labels).map(([key, value]) => `${key}=${value}`)]
    .join("\n")
    .toLowerCase();
  return filter
    .toLowerCase()
    .split(/\s+/)
    .every((word) => text.includes(word));
}

/**
 * The containers of each Compose project, by its name; those without a project last, under an empty name.
 * @param {Container[]} containers
 * @returns {[string, Container[]][]}
 */
export function groupByProject(containers) {
  /** @type {Map<string, Container[]>} */
  const groups = new Map();
  for (const each of containers) groups.set(projectOf(each), [...(groups.get(projectOf(each)) ?? []), each]);
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
