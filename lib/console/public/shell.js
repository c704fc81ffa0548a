import { ApiError, call } from "./api.js";
import { useLayoutEffect } from "./hooks.mjs";
import { isRefused, reconnectPause } from "./reconnect.js";
import { T } from "./strings.js";
import { html, Problem, useEffect, useRef, useState } from "./view.js";

/** A node that has just died refuses shells, but so does a container that has stopped. */
const MAX_REFUSALS = 5;
/** So many lines are kept above the screen. */
const SCROLLBACK_LINES = 5000;
/** Undoes what a program may have left: attributes, hidden cursor, margins, application keys, mouse reports, bracketed paste. */
const RESET_MODES = "\x1b[!p\x1b[?1000l\x1b[?1002l\x1b[?1003l\x1b[?1006l\x1b[?2004l";
const LEAVE_ALTERNATE_SCREEN = "\x1b[?1049l";

/**
 * One shell in a container. When its connection is lost, a new shell opens below what is kept of the old one.
 * @param {{container: import("./format.js").Container, isShown: boolean, id: string, labelledBy: string}} props
 */
export function Shell({ container, isShown, id, labelledBy }) {
  const box = useRef(/** @type {HTMLElement | null} */ (null));
  const [error, setError] = useState(/** @type {Error | undefined} */ (undefined));
  const [isOpen, setOpen] = useState(true);
  const shell = useRef(/** @type {Awaited<ReturnType<typeof openShell>> | undefined} */ (undefined));
  useEffect(() => {
    const ended = new AbortController();
    const listener = { onOpen: setOpen, onError: setError };
    openShell(/** @type {HTMLElement} */ (box.current), container, listener, ended.signal).then((opened) => {
      shell.current = opened;
    }, setError);
    return () => ended.abort();
  }, [container.id]);
  // Together with its display: what is typed right after a click on its tab must not be lost.
  useLayoutEffect(() => {
    if (isShown) shell.current?.focus();
  }, [isShown]);
  return html`<div id=${id} role="tabpanel" aria-labelledby=${labelledBy} hidden=${!isShown}><${Problem} error=${error} />
    <div class="bar"><button disabled=${isOpen} onClick=${() => shell.current?.connect()}>${T.connect}</button>
      <button title=${T.copyKeys} onClick=${() => shell.current?.copy()}>${T.copy}</button>
      <button title=${T.pasteKeys} onClick=${() => shell.current?.paste().catch(() => setError(new Error(T.pasteRefused)))}>${T.paste}</button></div>
    <div class="shell" ref=${box}></div></div>`;
}

/**
 * Opens a terminal in an element, and a shell in it.
 * @param {HTMLElement} box
 * @param {{id: string, host: string}} container
 * @param {{onOpen: (isOpen: boolean) => void, onError: (error: Error | undefined) => void}} listener told whether there is a shell or one
 *   is being opened, and of errors
 * @param {AbortSignal} signal ends both
 */
async function openShell(box, container, { onOpen, onError }, signal) {
  const [{ Terminal }, { FitAddon }] = await Promise.all([import("./xterm.mjs"), import("./addon-fit.mjs")]);
  const terminal = new Terminal({
    cursorBlink: !matchMedia("(prefers-reduced-motion: reduce)").matches,
    scrollback: SCROLLBACK_LINES,
    screenReaderMode: true,
  });
  const fit = new FitAddon();
  terminal.loadAddon(fit);
  terminal.open(box);
  fit.fit();
  // A hidden terminal keeps its size.
  const observer = new ResizeObserver(() => box.clientWidth > 0 && fit.fit());
  observer.observe(box);

  /** @type {WebSocket | undefined} */
  let socket;
  const say = (/** @type {object} */ message) => {
    if (socket?.readyState === WebSocket.OPEN) socket.send(JSON.stringify(message));
  };
  terminal.onData((data) => say({ type: "stdin", data }));
  terminal.onResize(({ cols, rows }) => say({ type: "resize", cols, rows }));

  /** Writes a line of our own below what there is, on the screen that is kept. */
  const mark = (/** @type {string} */ text) =>
    terminal.write("", () => {
      const leave = terminal.buffer.active.type === "alternate" ? LEAVE_ALTERNATE_SCREEN : "";
      terminal.write(`${leave}${RESET_MODES}\r\n\x1b[7m${text}\x1b[0m\r\n`);
    });

  /** The shell has ended, or with `isLost` its connection has. */
  const end = (/** @type {WebSocket} */ ended, /** @type {boolean} */ isLost) => {
    if (signal.aborted || socket !== ended) return;
    socket = undefined;
    ended.close();
    mark(isLost ? T.connectionLost(new Date().toLocaleTimeString()) : T.terminalEnded);
    if (isLost) void reconnectPause(signal).then(connect);
    else onOpen(false);
  };

  const openSocket = async () => {
    const node = `node=${encodeURIComponent(container.host)}`;
    const path = `/ws/${encodeURIComponent(container.id)}`;
    const { ticket } = await call("POST", `${path}/ticket?${node}`, { signal });
    const size = `cols=${terminal.cols}&rows=${terminal.rows}`;
    const opened = new WebSocket(`${location.origin.replace(/^http/, "ws")}${path}?${node}&${size}&ticket=${encodeURIComponent(ticket)}`);
    socket = opened;
    let hasExited = false;
    opened.onmessage = ({ data }) => {
      const message = JSON.parse(data);
      if (message.type === "exit") hasExited = true;
      if (message.type === "error") onError(new Error(message.error.message));
      if (message.type === "stdout" || message.type === "stderr")
        terminal.write(message.encoding === "base64" ? Uint8Array.from(atob(message.data), (each) => each.charCodeAt(0)) : message.data);
    };
    await new Promise((resolve, reject) => {
      opened.onopen = resolve;
      opened.onclose = () => reject(new Error(T.shellRefused));
    });
    opened.onclose = () => end(opened, !hasExited);
    onError(undefined);
  };

  /** Opens a shell; as long as the server or the node can't be reached, it tries again. */
  async function connect() {
    onOpen(true);
    onError(undefined);
    let refusals = 0;
    while (!signal.aborted) {
      try {
        return await openSocket();
      } catch (thrown) {
        if (signal.aborted) return;
        onError(/** @type {Error} */ (thrown));
        // Not an answer to the request for a ticket: the upgrade was refused, which tells no reason.
        if (!(thrown instanceof ApiError)) refusals += 1;
        if (refusals === MAX_REFUSALS || isRefused(thrown)) return onOpen(false);
        await reconnectPause(signal);
      }
    }
  }

  // A browser that has lost its network tells so long before the connection breaks.
  const lose = () => socket?.readyState === WebSocket.OPEN && end(socket, true);
  addEventListener("offline", lose);
  const copy = async () => {
    const text = terminal.getSelection();
    if (text === "") return;
    // Only pages that came over HTTPS or from this machine have the clipboard; for others the terminal answers the browser's own command.
    if (navigator.clipboard) return navigator.clipboard.writeText(text);
    terminal.focus();
    document.execCommand("copy");
  };
  terminal.attachCustomKeyEventHandler((event) => {
    const isCopy = event.type === "keydown" && event.ctrlKey && event.shiftKey && event.code === "KeyC";
    if (isCopy) {
      event.preventDefault();
      void copy();
    }
    return !isCopy;
  });
  const close = () => {
    removeEventListener("offline", lose);
    observer.disconnect();
    socket?.close();
    terminal.dispose();
  };
  if (signal.aborted) close();
  else signal.addEventListener("abort", close);
  terminal.focus();
  void connect();
  return {
    connect,
    copy,
    focus: () => terminal.focus(),
    paste: async () => {
      terminal.paste(await navigator.clipboard.readText());
      terminal.focus();
    },
  };
}
