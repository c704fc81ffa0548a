import { call } from "./api.js";
import { filterNodes } from "./format.js";
import { T } from "./strings.js";
import { Field, html, Missing, Pending, Problem, useMemo, usePolled, useState } from "./view.js";
import { VirtualTable } from "./virtual-table.js";

/** @typedef {import("./format.js").Node} Node */

/** The nodes are asked again after so long, and this much later for each of them. */
const NODES_PAUSE_MS = 2000;
const NODES_PAUSE_MS_EACH = 5;

const COLUMNS = [
  { head: T.node, width: "auto" },
  { head: T.answers, width: "6.3rem" },
  { head: T.load, width: "8rem" },
  { head: T.cpu, width: "4.5rem" },
  { head: T.memory, width: "6rem" },
  { head: T.engine, width: "5.7rem" },
  { head: T.version, width: "5.5rem" },
  { head: T.docker, width: "5.7rem" },
  { head: T.containers, width: "7.5rem" },
  { head: T.runs, width: "11.3rem" },
  { head: T.takesWork, width: "6.8rem" },
];

/**
 * The nodes; of a server without a cluster the one there is.
 * @param {AbortSignal} signal
 * @returns {Promise<{nodes: Node[], missing: string[], warnings: string[], complete: boolean}>}
 */
export async function readNodes(signal) {
  // Only in a cluster does the health tell whether the pool is complete.
  const { complete } = await call("GET", "/healthz", { signal });
  if (complete !== undefined) return call("GET", "/nodes", { signal });
  const { version, host, docker } = await call("GET", "/version", { signal });
  const nodes = [{ name: host, reachable: true, engine: "ok", version, docker: docker.Version }];
  return { nodes, missing: [], warnings: [], complete: true };
}

const shareText = (/** @type {number | undefined} */ share) => share !== undefined && `${Math.round(share * 100)} %`;

const cells = (/** @type {Node} */ node) => html`<th scope="row" title=${node.name}>${node.name}</th>
  ${
    node.reachable
      ? html`<td class="state good">${T.yes}</td>
        <td>${node.load !== undefined && html`<meter min="0" max="1" value=${node.load} aria-label=${`${T.load} ${node.name}`}></meter> ${node.load.toFixed(2)}`}</td>
        <td class="number">${shareText(node.cpu)}</td><td class="number">${shareText(node.memory)}</td>`
      : html`<td colspan="4" class="state bad" title=${node.reason}>${T.missingBecause}${node.reason}</td>`
  }
  <td>${node.engine}</td><td title=${node.version}>${node.version}</td><td title=${node.docker}>${node.docker}</td><td class="number">${node.containers}</td>
  <td>${node.runs && T.runsOf(node.runs.running, node.runs.waiting)}</td><td>${node.accepting === false ? T.no : T.yes}</td>`;

export function NodesPage() {
  const { value, error } = usePolled(readNodes, (list) => NODES_PAUSE_MS + NODES_PAUSE_MS_EACH * (list?.nodes.length ?? 0));
  const [filter, setFilter] = useState("");
  const found = useMemo(() => filterNodes(value?.nodes ?? [], filter), [value, filter]);
  return html`<h1>${T.nodes}</h1><${Missing} nodes=${value?.missing.join(", ")} />
    ${value?.warnings.map((warning) => html`<p class="problem">${warning}</p>`)}
    <${Problem} error=${error} /><${Pending} value=${value} error=${error} />
    ${
      value &&
      html`<div class="bar"><${Field} label=${T.filter} id="filter" type="search" value=${filter} onInput=${setFilter} />
        <span role="status">${T.shownOf(found.length, value.nodes.length)}</span></div>
      ${
        found.length > 0
          ? html`<${VirtualTable} label=${T.nodes} columns=${COLUMNS} rows=${found} keyOf=${(/** @type {Node} */ { name }) => name} cells=${cells} top=${filter} />`
          : html`<p>${T.none}</p>`
      }`
    }`;
}
