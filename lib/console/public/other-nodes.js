import { call, send, watchReachability } from "./api.js";
import { T } from "./strings.js";
import { html, useEffect, usePolled, useState } from "./view.js";

/** @typedef {{name: string, public_url?: string}} OtherNode */

const NODES_PAUSE_MS = 30_000;
const HEALTH_PAUSE_MS = 3000;
/** A frozen node keeps connections open and says nothing. */
const HEALTH_TIMEOUT_MS = 10_000;
/** Of a large pool a few suffice. */
const MAX_NODES_SHOWN = 8;

/** The other nodes that answer. @param {AbortSignal} signal @returns {Promise<OtherNode[]>} */
async function readOtherNodes(signal) {
  const { host, complete } = await call("GET", "/healthz", { signal });
  // Only in a cluster does the health tell whether the pool is complete.
  if (complete === undefined) return [];
  const { nodes } = await call("GET", "/nodes", { signal });
  return nodes.filter((/** @type {any} */ { name, reachable }) => name !== host && reachable);
}

/**
 * Says that the node of this page doesn't answer, and leads to the consoles of those that did.
 * @param {{identity: import("./api.js").Identity}} props
 */
export function OtherNodes({ identity }) {
  const [isLost, setLost] = useState(false);
  useEffect(() => watchReachability((isReached) => setLost(!isReached)), []);
  const mayAsk = identity.can.includes("nodes") && identity.can.includes("read");
  const { value: others = [] } = usePolled(async (signal) => (mayAsk ? readOtherNodes(signal) : []), NODES_PAUSE_MS, [mayAsk]);
  usePolled(async (signal) => {
    const timer = setTimeout(() => setLost(true), HEALTH_TIMEOUT_MS);
    await send("GET", "/health", { signal }).finally(() => clearTimeout(timer));
  }, HEALTH_PAUSE_MS);
  if (!isLost) return null;
  const linked = others.filter(({ public_url }) => public_url !== undefined).slice(0, MAX_NODES_SHOWN);
  const unlinked = others.filter(({ public_url }) => public_url === undefined).slice(0, MAX_NODES_SHOWN - linked.length);
  return html`<div class="problem" role="alert"><p>${T.nodeLost}</p>
    ${linked.length > 0 && html`<p>${T.otherConsoles}${linked.map(({ name, public_url }) => html`<a href=${public_url + location.pathname + location.search}>${name}</a> `)}</p>`}
    ${unlinked.length > 0 && html`<p>${T.otherNodes(unlinked.map(({ name }) => name).join(", "))}</p>`}</div>`;
}
