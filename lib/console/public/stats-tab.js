import { containerPath, linesOf, send } from "./api.js";
import { formatBytes } from "./format.js";
import { isRefused, reconnectPause } from "./reconnect.js";
import { T } from "./strings.js";
import { html, Problem, useEffect, useRef, useState } from "./view.js";

const KEPT_SECONDS = 300;
const CHART_HEIGHT = 260;
const BYTES_PER_MB = 1_000_000;

/** What a container uses, as a live chart. @param {{container: import("./format.js").Container}} props */
export function StatsTab({ container }) {
  const box = useRef(/** @type {HTMLElement | null} */ (null));
  const [last, setLast] = useState(/** @type {any} */ (undefined));
  const [error, setError] = useState(/** @type {Error | undefined} */ (undefined));
  useEffect(() => {
    const ended = new AbortController();
    /** @type {(() => void) | undefined} */
    let removeChart;
    const draw = async () => {
      const { default: UPlot } = await import("./uPlot.esm.js");
      if (ended.signal.aborted || !box.current) return;
      /** @type {[number[], number[], number[]]} */
      const data = [[], [], []];
      const colour = getComputedStyle(box.current).color;
      const axis = { stroke: colour, grid: { stroke: "#8884" } };
      const made = new UPlot(
        {
          width: box.current.clientWidth,
          height: CHART_HEIGHT,
          scales: { memory: {} },
          axes: [axis, { ...axis, label: "%" }, { ...axis, scale: "memory", side: 1, label: "MB" }],
          series: [{}, { label: T.cpu, stroke: "#2f7bd9" }, { label: T.memory, stroke: "#c2571a", scale: "memory" }],
        },
        data,
        box.current,
      );
      const { current } = box;
      const fit = new ResizeObserver(() => made.setSize({ width: current.clientWidth, height: CHART_HEIGHT }));
      fit.observe(current);
      removeChart = () => {
        fit.disconnect();
        made.destroy();
      };
      const take = async () => {
        const path = containerPath(container, "/stats", { stream: "true" });
        const response = await send("GET", path, { accept: "application/x-ndjson", signal: ended.signal });
        for await (const lines of linesOf(response)) {
          setError(undefined);
          for (const line of lines.filter((each) => each !== "")) {
            const usage = JSON.parse(line);
            data[0].push(Date.parse(usage.read) / 1000);
            data[1].push(usage.cpu_percent);
            data[2].push(usage.memory / BYTES_PER_MB);
            for (const each of data) if (each.length > KEPT_SECONDS) each.shift();
            setLast(usage);
          }
          if (!document.hidden) made.setData(data);
        }
      };
      while (!ended.signal.aborted) {
        await take().catch((thrown) => {
          if (ended.signal.aborted || isRefused(thrown)) throw thrown;
          setError(thrown);
        });
        await reconnectPause(ended.signal);
      }
    };
    draw().catch((thrown) => {
      if (!ended.signal.aborted) setError(thrown);
    });
    return () => {
      ended.abort();
      removeChart?.();
    };
  }, [container.id]);
  return html`<${Problem} error=${error} /><link rel="stylesheet" href="/console/assets/uPlot.min.css" />
    <div class="chart" ref=${box} role="img" aria-label=${T.usage}></div>
    ${last && html`<p>${T.cpu}: ${last.cpu_percent.toFixed(1)} % · ${T.memory}: ${formatBytes(last.memory)} / ${formatBytes(last.memory_limit)}</p>`}`;
}
