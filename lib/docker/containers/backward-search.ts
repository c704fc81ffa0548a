import { takingTurns } from "../../support/taking-turns";
import { toAppErrorFromEngine } from "../engine-errors";
import { type FoundLine, LogWindow } from "./log-window";
import { FrameParser } from "./stream-frames";

/** Lines of the first window. The engine can only count lines from the end: each window reaches back further than the one before. */
const FIRST_TAIL = 1000;
const TAIL_FACTOR = 4;
/** What is older than this many lines is one window. */
const MAX_TAIL = 20_000_000;

/** The engine ends at the first line after `until`, and can store lines of the two streams the later first: it is asked for this much more. */
const OUT_OF_ORDER_SECONDS = 1;
/** of the year 9999 */
const LAST_SECOND = 253_402_300_799;

/** Opens the last lines of a log, each with its time before it; all lines without `tail`. The oldest line comes first. */
export type OpenLog = (
  range: { tail: number | undefined; until: string | undefined },
  signal: AbortSignal,
) => Promise<{ stream: AsyncIterable<Buffer>; tty: boolean }>;

export interface SearchRange {
  /** seconds since 1970, with up to nine decimals */
  since?: string | undefined;
  until?: string | undefined;
}

/** Bytes that may still be read, of all logs of a search. */
export interface ReadBudget {
  remaining: number;
}

/**
 * Searches one log from its end to its beginning. The engine gives logs from the oldest line on, so the search reads windows, each of
 * which ends where the one before begins. Lines are told apart by their time: of lines of one nanosecond all are in one window.
 */
export class BackwardSearch {
  /** Whether all of the range was searched, or the search was ended. */
  isDone = false;
  /** Whether the signal or the budget has ended it. */
  isCut = false;
  /** Whether lines were found that were not returned. */
  hasDropped = false;
  private tail: number | undefined = FIRST_TAIL;
  /** Time of the oldest line that was searched. */
  private oldestTime: string | undefined;
  private readonly needle: string;
  private readonly since: string | undefined;
  private readonly until: string | undefined;

  constructor(
    private readonly open: OpenLog,
    text: string,
    private readonly range: SearchRange,
  ) {
    this.needle = text.toLowerCase();
    this.since = range.since && toTimestamp(range.since);
    this.until = range.until && toTimestamp(range.until);
  }

  /**
   * Searches the next older window.
   * @param limit lines that are returned, the newest ones
   * @returns the lines found, the newest first; those found so far if the signal aborts or the budget is used up
   * @throws AppError CONTAINER_NOT_FOUND, ENGINE_UNREACHABLE; ENGINE_ERROR if the engine can't read the log
   */
  async nextWindow(limit: number, budget: ReadBudget, signal: AbortSignal): Promise<FoundLine[]> {
    const { tail, oldestTime: stopAt, since, until } = this;
    const window = new LogWindow(this.needle, { limit, since, until, stopAt });
    this.isCut = await this.readWindow(window, budget, signal);
    const { isCut } = this;
    const { firstTime } = window;
    const isWhole = tail === undefined || (stopAt === undefined && until === undefined && window.count < tail);
    // What was read before is gone, and all that is older with it, or so much was written since that the window doesn't reach it.
    const isDetached = stopAt !== undefined && !window.isStopped && !(isCut && (firstTime ?? "") < stopAt);
    const isPastRange = since !== undefined && firstTime !== undefined && firstTime < since;
    this.isDone = isCut || isWhole || (isPastRange && !isDetached);
    const hasProgress = window.wholeFrom !== undefined && !isDetached;
    const grown = (tail ?? 0) * TAIL_FACTOR;
    // Lines of one time only, or none that are older: the window may have reached the beginning.
    const isAtBeginning = firstTime !== undefined && !hasProgress && !isDetached;
    this.tail = isAtBeginning || grown > MAX_TAIL ? undefined : grown;
    if (hasProgress) this.oldestTime = window.wholeFrom;
    if (isDetached) return [];
    const lines = window.linesFound(isWhole);
    this.hasDropped ||= window.hasDropped;
    return lines;
  }

  /** @returns whether it ended before the window did */
  private async readWindow(window: LogWindow, budget: ReadBudget, signal: AbortSignal): Promise<boolean> {
    const { tail, oldestTime: stopAt } = this;
    try {
      const { stream, tty } = await this.open({ tail, until: this.range.until && later(this.range.until) }, signal);
      const parser = new FrameParser(tty);
      for await (const chunk of takingTurns(stream)) {
        budget.remaining -= chunk.length;
        for (const { stream: name, data } of parser.pushJoined(chunk)) window.push(name, data);
        if (window.isStopped) return false;
        if (budget.remaining <= 0 || signal.aborted) return true;
        // It doesn't reach back far enough.
        if (tail !== undefined && stopAt !== undefined && (window.firstTime ?? "") > stopAt) return false;
      }
    } catch (error) {
      if (signal.aborted) return true;
      throw toAppErrorFromEngine(error);
    }
    window.end();
    return signal.aborted;
  }
}

function later(seconds: string): string {
  const [whole = "", decimals = "0"] = seconds.split(".");
  return `${Number(whole) + OUT_OF_ORDER_SECONDS}.${decimals}`;
}

/** Seconds since 1970 as the engine writes times, so that the texts compare as the times do. */
function toTimestamp(seconds: string): string {
  const [whole = "", decimals = ""] = seconds.split(".");
  return `${new Date(Math.min(Number(whole), LAST_SECOND) * 1000).toISOString().slice(0, 19)}.${decimals.padEnd(9, "0")}Z`;
}
