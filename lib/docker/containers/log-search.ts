import { AppError, isNotFound, isUnavailable } from "../../errors";
import { forEachParallel } from "../../support/for-each-parallel";
import type { BackwardSearch, ReadBudget, SearchRange } from "./backward-search";
import type { ContainerSummary } from "./container-summary";
import type { FoundLine } from "./log-window";
import type { ContainerLogs } from "./logs";

/** Logs that are read at the same time. */
const PARALLEL_READS = 4;
/** Containers that are named as unreadable. */
const MAX_NAMED = 20;

/** A line that was found, with its container. */
export interface LogHit extends FoundLine {
  /** of the container: 64 hex digits */
  id: string;
  name: string;
}

export interface LogSearchQuery extends SearchRange {
  /** compared without regard to case */
  text: string;
  /** lines */
  limit: number;
  /** bytes that are read of all logs together */
  maxBytes: number;
}

/** The bound that ended a search before all was searched. */
export type SearchBound = "limit" | "bytes" | "time";

interface SearchedLog {
  container: ContainerSummary;
  search: BackwardSearch;
}

/** Searches the logs of several containers, the newest lines first. */
export class LogSearch {
  /** Names of containers whose logs can't be read; the first ones. */
  readonly unreadable: string[] = [];
  truncated: SearchBound | null = null;
  private readonly budget: ReadBudget;

  constructor(
    private readonly logs: Pick<ContainerLogs, "searchBackwards">,
    private readonly query: LogSearchQuery,
  ) {
    this.budget = { remaining: query.maxBytes };
  }

  get bytesRead(): number {
    return this.query.maxBytes - this.budget.remaining;
  }

  /**
   * Reads in rounds: in each, one window further back of every log. The lines that a round finds come with the newest first.
   * @param signal ends it
   * @throws AppError ENGINE_UNREACHABLE, ENGINE_TIMEOUT
   */
  async *run(containers: readonly ContainerSummary[], signal: AbortSignal): AsyncGenerator<LogHit> {
    const { text, limit } = this.query;
    let open = containers.map((container) => ({ container, search: this.logs.searchBackwards(container.id, text, this.query) }));
    for (let remaining = limit; open.length > 0; ) {
      const { hits, hasDropped } = await this.readRound(open, remaining, signal);
      yield* hits;
      remaining -= hits.length;
      const unread = open.filter(({ search }) => search.isCut || !search.isDone);
      if (hasDropped || (remaining === 0 && unread.length > 0)) this.truncated = "limit";
      else if (unread.length > 0 && this.budget.remaining <= 0) this.truncated = "bytes";
      else if (unread.length > 0 && signal.aborted) this.truncated = "time";
      if (this.truncated) return;
      open = unread;
    }
  }

  private async readRound(open: readonly SearchedLog[], limit: number, signal: AbortSignal) {
    let hits: LogHit[] = [];
    let hasDropped = false;
    await forEachParallel(open, PARALLEL_READS, async (log) => {
      if (this.budget.remaining <= 0 || signal.aborted) return;
      const { id, name } = log.container;
      const found = await this.readWindow(log, limit, signal);
      hits = [...hits, ...found.map((line) => ({ id, name, ...line }))].sort(byNewest);
      hasDropped ||= log.search.hasDropped || hits.length > limit;
      hits = hits.slice(0, limit);
    });
    return { hits, hasDropped };
  }

  private async readWindow({ container, search }: SearchedLog, limit: number, signal: AbortSignal): Promise<FoundLine[]> {
    try {
      return await search.nextWindow(limit, this.budget, signal);
    } catch (error) {
      if (!(error instanceof AppError) || isUnavailable(error)) throw error;
      // A container that was removed meanwhile has no log.
      if (!isNotFound(error) && this.unreadable.length < MAX_NAMED) this.unreadable.push(container.name);
      search.isDone = true;
      return [];
    }
  }
}

/** Lines of one time stay in their order. */
const byNewest = (a: LogHit, b: LogHit) => (a.time === b.time ? 0 : a.time < b.time ? 1 : -1);
