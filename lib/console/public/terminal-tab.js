import { call } from "./api.js";
import { T } from "./strings.js";
import { html, Problem, useEffect, useRef, useState } from "./view.js";

/** A shell in a container. After its end a new one opens below what is kept. @param {{container: import("./format.js").Container}} props */
export function TerminalTab({ container }) {
  const box = useRef(/** @type {HTMLElement | null} */ (null));
  const [error, setError] = useState(/** @type {Error | undefined} */ (undefined));
  const [isOpen, setOpen] = useState(false);
  const connect = useRef(/** @type {() => Promise<void>} */ (async () => undefined));
  useEffect(() => {
    let isGone = false;
    /** @type {WebSocket | undefined} */
    let socket;
    /** @type {(() => void)[]} */
    const cleanups = [() => socket?.close()];
    const say = (/** @type {object} */ message) => {
      if (socket?.readyState === WebSocket.OPEN) socket.send(JSON.stringify(message));
    };
    const prepare = async () => {
      const [{ Terminal }, { FitAddon }] = await Promise.all([import("./xterm.mjs"), import("./addon-fit.mjs")]);
      if (isGone || !box.current) return;
      const terminal = new Terminal({
        cursorBlink: !matchMedia("(prefers-reduced-motion: reduce)").matches,
        scrollback: 5000,
        screenReaderMode: true,
      });
      const fit = new FitAddon();
      terminal.loadAddon(fit);
      terminal.open(box.current);
      fit.fit();
      const observer = new ResizeObserver(() => fit.fit());
      observer.observe(box.current);
      cleanups.push(
        () => observer.disconnect(),
        () => terminal.dispose(),
      );
      terminal.onData((data) => say({ type: "stdin", data }));
      terminal.onResize(({ cols, rows }) => say({ type: "resize", cols, rows }));
      connect.current = async () => {
        const node = `node=${encodeURIComponent(container.host)}`;
        const path = `/ws/${encodeURIComponent(container.id)}`;
        const { ticket } = await call("POST", `${path}/ticket?${node}`);
        if (isGone) return;
        const size = `cols=${terminal.cols}&rows=${terminal.rows}`;
        const opened = new WebSocket(
          `${location.origin.replace(/^http/, "ws")}${path}?${node}&${size}&ticket=${encodeURIComponent(ticket)}`,
        );
        socket = opened;
        setOpen(true);
        opened.onopen = () => terminal.focus();
        opened.onmessage = ({ data }) => {
          const message = JSON.parse(data);
          if (message.type === "error") setError(new Error(message.error.message));
          if (message.type === "stdout" || message.type === "stderr")
            terminal.write(
              message.encoding === "base64" ? Uint8Array.from(atob(message.data), (each) => each.charCodeAt(0)) : message.data,
            );
        };
        opened.onclose = () => {
          if (isGone) return;
          terminal.write(`\r\n\x1b[0m${T.terminalEnded}\r\n`);
          setOpen(false);
        };
      };
      await connect.current();
    };
    prepare().catch((thrown) => {
      if (!isGone) setError(thrown);
    });
    return () => {
      isGone = true;
      for (const clean of cleanups) clean();
    };
  }, [container.id]);
  const again = () => {
    setError(undefined);
    connect.current().catch(setError);
  };
  return html`<link rel="stylesheet" href="/console/assets/xterm.css" /><${Problem} error=${error} />
    <div class="bar"><button disabled=${isOpen} onClick=${again}>${T.connect}</button></div><div class="shell" ref=${box}></div>`;
}
