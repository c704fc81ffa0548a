import { containerPath, linesOf, send } from "./api.js";
import { readLog } from "./log-source.js";
import { LogWindow } from "./log-window.js";
import { isRefused, reconnectPause } from "./reconnect.js";

/** Logs that are open at the same time. A browser opens six connections to a server: two are left for everything else. */
export const MAX_LOGS = 4;
/** The page keeps so many lines, whatever the logs have. */
export const MAX_LINES = 3000;
const MAX_CHARS = 8_000_000;
const MAX_LINE_CHARS = 20_000;
/** Of each log, unless a time is given to begin at. */
const FIRST_LINES = "500";
/** Between two drawings; people can't read faster. */
const DRAW_PAUSE_MS = 100;
/** When so many lines wait to be drawn, no more are read: the server waits too. A hidden tab draws nothing. */
const MAX_WAITING_LINES = 5000;

/** What of the logs is shown; times as the server takes them, empty if unlimited. @typedef {{since: string, until: string, isFollowed: boolean}} Range */
/** A container by its id or, where the list may not be read, by its name alone. @typedef {{id: string, name: string, host?: string, state?: string}} Source */
/** @typedef {{text: "waiting" | "reading" | "broken" | "ended" | "full", error?: Error}} State of one log */

/**
 * Asks for the log of a container as text, with the time before each line.
 * @param {Source} container
 * @param {Record<string, string>} query
 * @param {AbortSignal} [signal]
 */
export const requestLog = (container, query, signal) =>
  send("GET", containerPath(container, "/logs", { timestamps: "true", ...query }), { accept: "text/plain", signal });

/** Reads the logs of containers into one window, no faster than it is drawn. */
export class LogReader {
  /** By the container's id. @type {Map<string, State>} */
  states = new Map();
  #range;
  #draw;
  #ended = new AbortController();
  /** Of the logs that have ended: opens one again. @type {Map<string, () => void>} */
  #wakers = new Map();
  #openLogs = 0;
  /** Of the logs that wait until another one is closed: opens it. @type {(() => void)[]} */
  #turns = [];
  #waitingLines = 0;
  #drawnAtMs = 0;
  #frame = 0;
  /** @type {Promise<void> | undefined} */
  #drawn;

  /**
   * @param {Range} range
   * @param {() => void} draw called when there is something new to show
   */
  constructor(range, draw) {
    this.#range = range;
    this.#draw = draw;
    /** A past time is shown from its first line on. */
    this.beginsAtTime = range.since !== "" && !range.isFollowed;
    this.window = new LogWindow({ maxLines: MAX_LINES, maxChars: MAX_CHARS, keepsOldest: this.beginsAtTime });
  }

  /**
   * Reads the logs of containers that are new, and those that have ended again if their container runs.
   * @param {Source[]} containers as they are listed now
   */
  update(containers) {
    for (const container of containers) {
      if (!this.states.has(container.id)) void this.#read(container);
      else if (container.state === "running") this.#wakers.get(container.id)?.();
    }
  }

  close() {
    this.#ended.abort();
    cancelAnimationFrame(this.#frame);
  }

  /** @param {Source} container */
  async #read(container) {
    const { since, until, isFollowed } = this.#range;
    const query = {
      follow: String(isFollowed),
      ...(since === "" ? (until === "" ? { tail: FIRST_LINES } : {}) : { since }),
      ...(until === "" ? {} : { until }),
    };
    this.#tell(container.id, { text: "reading" });
    let count = 0;
    for await (const lines of readLog(
      (from) => this.#linesOf(container, from),
      query,
      (error) => this.#opensAgain(container.id, error),
    )) {
      this.window.add(container.id, lines);
      count += lines.length;
      if (this.beginsAtTime && count >= MAX_LINES) return this.#tell(container.id, { text: "full" });
      this.#waitingLines += lines.length;
      const drawn = this.#requestDraw();
      if (this.#waitingLines >= MAX_WAITING_LINES) await drawn;
    }
  }

  /** @param {Source} container @param {Record<string, string>} query */
  async *#linesOf(container, query) {
    await this.#takeTurn(container.id);
    try {
      const response = await requestLog(container, query, this.#ended.signal);
      // Not before: while the log can't be opened again, it stays told as broken.
      this.#tell(container.id, { text: "reading" });
      yield* linesOf(response, MAX_LINE_CHARS);
    } finally {
      const next = this.#turns.shift();
      if (next) next();
      else this.#openLogs -= 1;
    }
  }

  /** Waits until fewer logs are open than may be. @param {string} id */
  async #takeTurn(id) {
    if (this.#openLogs < MAX_LOGS) {
      this.#openLogs += 1;
      return;
    }
    this.#tell(id, { text: "waiting" });
    await new Promise((resolve) => this.#turns.push(() => resolve(undefined)));
  }

  /** @param {string} id @param {Error | undefined} error why the log broke; undefined if it has ended */
  async #opensAgain(id, error) {
    const { signal } = this.#ended;
    if (signal.aborted) return false;
    if (error && isRefused(error)) this.#tell(id, { text: "ended", error });
    else this.#tell(id, { text: error ? "broken" : "ended" });
    if (error ? isRefused(error) : !this.#range.isFollowed) return false;
    if (error) await reconnectPause(signal);
    // A node that stops ends the log too, and the container goes on.
    else await new Promise((resolve) => this.#wakers.set(id, () => resolve(undefined)));
    this.#wakers.delete(id);
    return !signal.aborted;
  }

  /** @param {string} id @param {State} state */
  #tell(id, state) {
    this.states.set(id, state);
    void this.#requestDraw();
  }

  #requestDraw() {
    this.#drawn ??= new Promise((resolve) => {
      const tick = (/** @type {number} */ now) => {
        if (now - this.#drawnAtMs < DRAW_PAUSE_MS) {
          this.#frame = requestAnimationFrame(tick);
          return;
        }
        this.#drawnAtMs = now;
        this.#waitingLines = 0;
        this.#drawn = undefined;
        this.#draw();
        resolve();
      };
      this.#frame = requestAnimationFrame(tick);
    });
    return this.#drawn;
  }
}
