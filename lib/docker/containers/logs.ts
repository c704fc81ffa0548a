import { LRUCache } from "lru-cache";
import { takingTurns } from "../../support/taking-turns";
import type { Engine } from "../engine";
import { toAppErrorFromEngine } from "../engine-errors";
import { BackwardSearch, type OpenLog, type SearchRange } from "./backward-search";
import { type CollectedOutput, collectOutput } from "./collect-output";
import { type Frame, FrameParser, framesOf } from "./stream-frames";

export interface LogQuery {
  /** lines from the end; all if absent */
  tail?: number | undefined;
  /** seconds since 1970, with up to nine decimals: more than a number holds */
  since?: string | undefined;
  until?: string | undefined;
  timestamps: boolean;
  follow: boolean;
}

/** Reads the logs of containers. */
export class ContainerLogs {
  /** By container id; the value never changes. */
  private readonly ttyByContainer = new LRUCache<string, boolean>({ max: 1000 });

  constructor(private readonly engine: Engine) {}

  /**
   * Streams the log of both streams merged; ends with the log or, when followed, with the container.
   * @param id full id
   * @param signal ends it early, without an error
   * @throws AppError CONTAINER_NOT_FOUND, ENGINE_UNREACHABLE; ENGINE_ERROR if the engine can't read the log: at once if nothing comes
   * before and the log isn't followed
   */
  async streamBytes(id: string, query: LogQuery, signal: AbortSignal): Promise<AsyncGenerator<Buffer>> {
    const { stream, tty } = await this.open(id, query, signal);
    const payload = payloadOf(stream, new FrameParser(tty), signal);
    return query.follow ? payload : startedGenerator(payload);
  }

  /** As `streamBytes`, with the stream that each part was written to. */
  async streamFrames(id: string, query: LogQuery, signal: AbortSignal): Promise<AsyncGenerator<Frame>> {
    const { stream, tty } = await this.open(id, query, signal);
    return framesOf(stream, tty);
  }

  /**
   * Reads the log, or its end if it is longer than `limit`.
   * @param limit bytes of each of stdout and stderr
   */
  async readTail(id: string, query: LogQuery, limit: number, signal: AbortSignal): Promise<CollectedOutput> {
    const { stream, tty } = await this.open(id, query, signal);
    return collectOutput(stream, tty, limit, signal);
  }

  /** Searches a log from its newest line on. @param id full id */
  searchBackwards(id: string, text: string, range: SearchRange): BackwardSearch {
    const open: OpenLog = (window, signal) => this.open(id, { ...window, timestamps: true, follow: false }, signal);
    return new BackwardSearch(open, text, range);
  }

  private async open(id: string, query: LogQuery, signal: AbortSignal) {
    const tty = await this.hasTty(id);
    const { tail, since, until, timestamps, follow } = query;
    const options = { stdout: true, stderr: true, tail: tail ?? "all", since, until, timestamps, follow };
    // Up to the first line since a time, the engine reads a long log in silence.
    const staysSilent = follow || since !== undefined;
    const stream = await this.engine.stream("GET", `/containers/${id}/logs`, { query: options, signal, isFinite: !staysSilent });
    return { stream, tty };
  }

  private async hasTty(id: string): Promise<boolean> {
    const known = this.ttyByContainer.get(id);
    if (known !== undefined) return known;
    const { Config } = await this.engine.call((docker) => docker.getContainer(id).inspect());
    this.ttyByContainer.set(id, Config.Tty);
    return Config.Tty;
  }
}

/** Waits for the first part, so that a failure before it is thrown here. */
async function startedGenerator(parts: AsyncGenerator<Buffer>): Promise<AsyncGenerator<Buffer>> {
  const first = await parts.next();
  return (async function* () {
    try {
      if (first.done) return;
      yield first.value;
      yield* parts;
    } finally {
      await parts.return(undefined);
    }
  })();
}

async function* payloadOf(stream: AsyncIterable<Buffer>, parser: FrameParser, signal: AbortSignal): AsyncGenerator<Buffer> {
  try {
    for await (const chunk of takingTurns(stream)) {
      for (const { data } of parser.pushJoined(chunk)) yield data;
    }
  } catch (error) {
    if (!signal.aborted) throw toAppErrorFromEngine(error);
  }
}
