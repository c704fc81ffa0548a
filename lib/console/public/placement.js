import { placementRows } from "./format.js";
import { T } from "./strings.js";
import { html } from "./view.js";

const percent = (/** @type {number} */ share) => `${Math.round(share * 100)} %`;

/** A share as a bar with its number. @param {{label: string, share: number, max?: number, text?: string}} props */
const Bar = ({ label, share, max = 1, text = percent(share) }) =>
  html`<meter min="0" max=${max} value=${share} aria-label=${label}></meter> ${text}`;

/**
 * Why a container was placed where it is: the bids of the nodes, the best first, and those that declined with their reasons.
 * @param {{placement: import("./format.js").Placement}} props
 */
export function PlacementPicture({ placement }) {
  const rows = placementRows(placement);
  const maxLoad = Math.max(1, ...rows.map(({ load = 0 }) => load));
  return html`<h2>${T.placement}</h2><p>${T.placementRule}</p>
    <div class="scroll" tabindex="0" role="region" aria-label=${T.placement}><table class="placement">
    <thead><tr>${[T.node, T.load, T.cpu, T.memory, T.image, T.volumes, T.ahead, T.recent].map((head) => html`<th scope="col">${head}</th>`)}</tr></thead>
    <tbody>${rows.map(
      ({
        bid,
        load,
        ahead,
      }) => html`<tr class=${bid.node === placement.chosen ? "chosen" : ""}><th scope="row">${bid.node} ${bid.node === placement.chosen && html`<span class="state good">${T.chosen}</span>`}</th>
        ${
          load === undefined
            ? html`<td colspan="7" class="state bad">${T.declined}${bid.declines}</td>`
            : html`<td><${Bar} label=${`${T.load} ${bid.node}`} share=${load} max=${maxLoad} text=${load.toFixed(2)} /></td>
              <td><${Bar} label=${`${T.cpu} ${bid.node}`} share=${Math.max(bid.cpu, bid.reservedCpu)} /></td>
              <td><${Bar} label=${`${T.memory} ${bid.node}`} share=${Math.max(bid.memory, bid.reservedMemory)} /></td>
              <td>${bid.hasImage ? T.yes : T.no}</td><td>${bid.hasVolumes ? T.yes : T.no}</td><td class="number">${ahead}</td><td class="number">${bid.recent.toFixed(1)}</td>`
        }</tr>`,
    )}</tbody></table></div>`;
}
