import { call } from "./api.js";
import { useLayoutEffect } from "./hooks.mjs";
import { T } from "./strings.js";
import { addressOf, html, navigate, useRef, useState } from "./view.js";

const MAX_SHOWN = 12;

/** Whether a key press is meant for a field. */
const isTyping = (/** @type {EventTarget | null} */ target) =>
  target instanceof HTMLElement && (target.matches("input, textarea, select") || target.closest(".xterm") !== null);

/**
 * Ctrl+K opens a list of pages and containers; `/` goes to the filter of the page.
 * @param {{pages: {title: string, address: string}[], canRead: boolean}} props
 */
export function Palette({ pages, canRead }) {
  const dialog = useRef(/** @type {HTMLDialogElement | null} */ (null));
  const [text, setText] = useState("");
  const [containers, setContainers] = useState(/** @type {import("./format.js").Container[]} */ ([]));
  // A layout effect, for a key may be pressed before the first paint has ended.
  useLayoutEffect(() => {
    const press = (/** @type {KeyboardEvent} */ event) => {
      if ((event.ctrlKey || event.metaKey) && event.key === "k") {
        event.preventDefault();
        setText("");
        if (!dialog.current?.open) dialog.current?.showModal();
        if (canRead) call("GET", "/").then(setContainers, () => undefined);
      } else if (event.key === "/" && !isTyping(event.target)) {
        const filter = document.getElementById("filter");
        if (filter) event.preventDefault();
        filter?.focus();
      }
    };
    addEventListener("keydown", press);
    return () => removeEventListener("keydown", press);
  }, [canRead]);
  const all = [...pages, ...containers.map(({ name, host, id }) => ({ title: `${name} · ${host}`, address: addressOf("containers", id) }))];
  const shown = all.filter(({ title }) => title.toLowerCase().includes(text.toLowerCase())).slice(0, MAX_SHOWN);
  const go = (/** @type {string | undefined} */ address) => {
    if (address === undefined) return;
    dialog.current?.close();
    navigate(address);
  };
  const submit = (/** @type {Event} */ event) => {
    event.preventDefault();
    go(shown[0]?.address);
  };
  return html`<dialog ref=${dialog} class="palette" aria-label=${T.palette}><form onSubmit=${submit}>
    <input aria-label=${T.paletteHint} placeholder=${T.paletteHint} value=${text} onInput=${(/** @type {any} */ event) => setText(event.currentTarget.value)} /></form>
    <ul>${shown.map(({ title, address }) => html`<li key=${address}><button onClick=${() => go(address)}>${title}</button></li>`)}</ul></dialog>`;
}
