import type { Browser, CDPSession, Page } from "playwright-core";
import { startBrowser } from "../test/support/browser";
import type { Bed } from "./bed";
import { median } from "./compare";
import { openConsole } from "./console-page";
import { newContainer } from "./container";
import type { AbsoluteMeasurement } from "./report";

const CONTAINERS = 100;
/** The page asks for what these use. */
const RUNNING = 20;
const LOADS = 7;
const BYTES_PER_KB = 1000;

/** Events of Chromium's tracing that are counted as scripting, as its developer tools do; what lies in them and is another's is not. */
const SCRIPTING = new Set([
  "EvaluateScript",
  "EventDispatch",
  "FireAnimationFrame",
  "FireIdleCallback",
  "FunctionCall",
  "MajorGC",
  "MinorGC",
  "RunMicrotasks",
  "TimerFire",
  "V8.GC_MC_BACKGROUND_MARKING",
  "XHRLoad",
  "XHRReadyStateChange",
  "v8.compile",
  "v8.compileModule",
  "v8.evaluateModule",
  "v8.produceCache",
]);
const NOT_SCRIPTING = new Set(["Layerize", "Layout", "Paint", "ParseAuthorStyleSheet", "ParseHTML", "PrePaint", "UpdateLayoutTree"]);

interface TraceEvent {
  name: string;
  ph: string;
  pid: number;
  tid: number;
  /** µs */
  ts: number;
  dur?: number;
  /** µs of processor time, whatever else the machine does */
  tdur?: number;
  args: { data?: { isMainFrame?: boolean; documentLoaderURL?: string } };
}

/** The first load of the list of containers, by Chromium's tracing: first paint, scripting until the list is there, bytes. */
export async function benchConsoleLoad(bed: Bed): Promise<AbsoluteMeasurement[]> {
  for (let index = 0; index < CONTAINERS; index++) await newContainer(bed, ["sleep", "100000"], index < RUNNING);
  const browser = await startBrowser();
  try {
    const page = await browser.newPage({ viewport: { width: 1280, height: 800 } });
    const url = `${bed.server.url}/console/containers`;
    await openConsole(page, url);
    const session = await page.context().newCDPSession(page);
    await session.send("Network.enable");
    await session.send("Network.setCacheDisabled", { cacheDisabled: true });
    const loads: Load[] = [];
    for (let load = 0; load < LOADS; load++) loads.push(await traceLoad(browser, page, session, url));
    const of = (name: keyof Load) => median(loads.map((load) => load[name]));
    const title = `first load, ${CONTAINERS} containers`;
    return [
      { title: `${title}: first paint`, value: of("firstPaintMs"), unit: "ms", atMost: 500 },
      { title: `${title}: list shown`, value: of("listedMs"), unit: "ms" },
      { title: `${title}: scripting until then`, value: of("scriptingMs"), unit: "ms", atMost: 150 },
      { title: `${title}: page and its files, as sent`, value: of("filesKilobytes"), unit: "kB", atMost: 250 },
    ];
  } finally {
    await browser.close();
  }
}

interface Load {
  firstPaintMs: number;
  listedMs: number;
  scriptingMs: number;
  filesKilobytes: number;
}

async function traceLoad(browser: Browser, page: Page, session: CDPSession, url: string): Promise<Load> {
  const files = new Set<string>();
  let bytes = 0;
  const onResponse = ({ requestId, response }: { requestId: string; response: { url: string } }) => {
    if (new URL(response.url).pathname.startsWith("/console")) files.add(requestId);
  };
  const onFinished = ({ requestId, encodedDataLength }: { requestId: string; encodedDataLength: number }) => {
    if (files.has(requestId)) bytes += encodedDataLength;
  };
  session.on("Network.responseReceived", onResponse);
  session.on("Network.loadingFinished", onFinished);
  await page.goto("about:blank");
  await browser.startTracing(page, {
    categories: ["devtools.timeline", "loading", "v8", "blink.user_timing", "disabled-by-default-v8.compile"],
  });
  await page.goto(url);
  await page.getByText(`${CONTAINERS} in all`).waitFor();
  await page.evaluate(
    'new Promise((resolve) => requestAnimationFrame(() => setTimeout(() => { performance.mark("listed"); resolve(); })))',
  );
  const trace: { traceEvents: TraceEvent[] } = JSON.parse((await browser.stopTracing()).toString());
  session.off("Network.responseReceived", onResponse);
  session.off("Network.loadingFinished", onFinished);
  return { ...timesOf(trace.traceEvents, url), filesKilobytes: bytes / BYTES_PER_KB };
}

/** @throws Error if the trace has no load of the address */
function timesOf(events: TraceEvent[], url: string): Omit<Load, "filesKilobytes"> {
  const start = events.find(({ name, args }) => name === "navigationStart" && args.data?.documentLoaderURL === url);
  const after = (wanted: string) => events.find(({ name, pid, ts }) => name === wanted && pid === start?.pid && ts >= start.ts);
  const paint = after("firstPaint");
  const listed = after("listed");
  if (!start || !paint || !listed) throw new Error("the trace lacks the load");
  const ownEvents = events
    .filter(({ ph, pid, tid, ts }) => ph === "X" && pid === start.pid && tid === listed.tid && ts >= start.ts && ts < listed.ts)
    .sort((a, b) => a.ts - b.ts || (b.dur ?? 0) - (a.dur ?? 0));
  const milliseconds = (microseconds: number) => microseconds / 1000;
  return {
    firstPaintMs: milliseconds(paint.ts - start.ts),
    listedMs: milliseconds(listed.ts - start.ts),
    scriptingMs: milliseconds(scriptingMicroseconds(ownEvents)),
  };
}

/** @param events of one thread, by their start @returns processor time */
function scriptingMicroseconds(events: TraceEvent[]): number {
  let total = 0;
  let scriptingUntil = 0;
  let otherUntil = 0;
  for (const { name, ts, dur = 0, tdur = dur } of events) {
    if (NOT_SCRIPTING.has(name) && ts >= otherUntil) {
      // Layout within a script.
      if (ts < scriptingUntil) total -= tdur;
      otherUntil = ts + dur;
    }
    if (!SCRIPTING.has(name) || ts < scriptingUntil) continue;
    total += tdur;
    scriptingUntil = ts + dur;
  }
  return total;
}
