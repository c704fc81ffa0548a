import { containerPath, linesOf, saveAs, send } from "./api.js";
import { ansiSpans, LineWindow, levelOf } from "./log-text.js";
import { T } from "./strings.js";
import { Field, html, Notice, Problem, useEffect, useRef, useState } from "./view.js";

/** The page keeps so many lines, whatever the log has. */
const MAX_LINES = 3000;
const FIRST_LINES = "500";
const RECONNECT_PAUSE_MS = 2000;

/** The log of a container, followed. @param {{container: import("./format.js").Container}} props */
export function LogsTab({ container }) {
  const [since, setSince] = useState("");
  const [filter, setFilter] = useState("");
  const [isFollowed, setFollowed] = useState(true);
  const [view, setView] = useState(/** @type {{lines: LineWindow["lines"], dropped: number}} */ ({ lines: [], dropped: 0 }));
  const [state, setState] = useState({ text: "", error: /** @type {Error | undefined} */ (undefined) });
  const box = useRef(/** @type {HTMLElement | null} */ (null));

  useEffect(() => {
    const ended = new AbortController();
    const { signal } = ended;
    const shown = new LineWindow(MAX_LINES);
    let frame = 0;
    const draw = () => {
      frame ||= requestAnimationFrame(() => {
        frame = 0;
        setView({ lines: shown.lines, dropped: shown.dropped });
      });
    };
    setState({ text: "", error: undefined });
    setView({ lines: [], dropped: 0 });
    const read = async () => {
      /** @type {Record<string, string>} */
      let from = since === "" ? { tail: FIRST_LINES } : { since };
      for (;;) {
        try {
          const query = { timestamps: "true", follow: String(isFollowed), ...from };
          for await (const lines of linesOf(
            await send("GET", containerPath(container, "/logs", query), { accept: "text/plain", signal }),
          )) {
            // After a reconnect the log begins with the last line that was shown.
            const known = shown.lines.at(-1)?.time ?? "";
            shown.add("since" in from && since === "" ? lines.filter((line) => !(line.startsWith(known) && known !== "")) : lines);
            draw();
          }
          return setState({ text: T.logEnded, error: undefined });
        } catch (thrown) {
          if (signal.aborted) return;
          const error = /** @type {import("./api.js").ApiError} */ (thrown);
          if (error.status !== undefined && error.status >= 400) return setState({ text: "", error });
          setState({ text: T.reconnecting, error: undefined });
          const last = shown.lines.at(-1)?.time;
          if (last) from = { since: last };
          await new Promise((resolve) => setTimeout(resolve, RECONNECT_PAUSE_MS));
          if (signal.aborted) return;
        }
      }
    };
    void read();
    return () => {
      ended.abort();
      cancelAnimationFrame(frame);
    };
  }, [container.id, since, isFollowed]);
  useEffect(() => {
    if (isFollowed) box.current?.scrollTo(0, box.current.scrollHeight);
  }, [view, isFollowed]);

  const found = filter === "" ? view.lines : view.lines.filter(({ text }) => text.toLowerCase().includes(filter.toLowerCase()));
  const download = async () => {
    const query = { timestamps: "true", ...(since === "" ? {} : { since }) };
    await send("GET", containerPath(container, "/logs", query), { accept: "text/plain" }).then(
      (response) => saveAs(response, `${container.name}.log`),
      (error) => setState({ text: "", error }),
    );
  };
  return html`<div class="bar"><${Field} label=${T.filter} id="filter" type="search" value=${filter} onInput=${setFilter} />
      <${Field} label=${T.since} placeholder=${T.sinceHint} value=${since} onInput=${setSince} />
      <label><input type="checkbox" checked=${isFollowed} onChange=${() => setFollowed(!isFollowed)} /> ${T.follow}</label>
      <button onClick=${download}>${T.download}</button><span>${T.lines(found.length, view.dropped)}</span></div>
    <${Problem} error=${state.error} /><${Notice} text=${state.text} />
    <div class="log" ref=${box} tabindex="0" role="log" aria-live="off" aria-label=${T.logs}>${found.map(
      ({ key, time, text }) =>
        html`<div key=${key} class=${levelOf(text)}><time>${time.slice(11, 23)}</time>${ansiSpans(text).map((span) => html`<span class=${span.style}>${span.text}</span>`)}</div>`,
    )}</div>`;
}
