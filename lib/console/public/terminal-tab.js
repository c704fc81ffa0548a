import { Shell } from "./shell.js";
import { T } from "./strings.js";
import { html, useState } from "./view.js";

/** Shells in a container, each in a tab. They end when the page is left. @param {{container: import("./format.js").Container}} props */
export function TerminalTab({ container }) {
  const [{ numbers, shown, next }, setShells] = useState({ numbers: [1], shown: 1, next: 2 });
  const open = () => setShells({ numbers: [...numbers, next], shown: next, next: next + 1 });
  const show = (/** @type {number} */ number) => setShells({ numbers, shown: number, next });
  const close = () => {
    const left = numbers.filter((number) => number !== shown);
    if (left.length === 0) setShells({ numbers: [next], shown: next, next: next + 1 });
    else setShells({ numbers: left, shown: left.findLast((number) => number < shown) ?? /** @type {number} */ (left[0]), next });
  };
  const tabId = (/** @type {number} */ number) => `shell-tab-${number}`;
  const panelId = (/** @type {number} */ number) => `shell-${number}`;
  return html`<link rel="stylesheet" href="/console/assets/xterm.css" />
    <div class="bar"><div class="bar" role="tablist" aria-label=${T.shells}>${numbers.map(
      (number) =>
        html`<button key=${number} id=${tabId(number)} role="tab" aria-selected=${String(number === shown)} aria-controls=${panelId(number)} onClick=${() => show(number)}>${T.shell(number)}</button>`,
    )}</div><button onClick=${open}>${T.newShell}</button><button onClick=${close}>${T.closeShell}</button></div>
    ${numbers.map((number) => html`<${Shell} key=${number} id=${panelId(number)} labelledBy=${tabId(number)} isShown=${number === shown} container=${container} />`)}`;
}
