import { StringDecoder } from "node:string_decoder";
import type { Frame } from "./stream-frames";

/** A line of a log that holds the text that was searched for. */
export interface FoundLine {
  /** RFC 3339, in nanoseconds, as the engine wrote it */
  time: string;
  stream: Frame["stream"];
  /** without its line break; of a long line the part around the text */
  line: string;
}

/** The engine stores a longer line in pieces of this size, and writes the time of the line before each of them. */
const PIECE_BYTES = 16_384;
/** Of a longer line each part is searched alone. */
const MAX_LINE_LENGTH = 1_000_000;
const MAX_FOUND_LENGTH = 8192;

/** Finds the lines of one part of a log that hold a text. Each line begins with its time. */
export class LogWindow {
  /** time of the first line; of a long line this may be the end */
  firstTime: string | undefined;
  /** time of the first line that has another time: from there on the window has all lines whole */
  wholeFrom: string | undefined;
  /** Whether the line at which the search stops was reached. */
  isStopped = false;
  /** as many lines as the engine may have counted, if neither `until` nor `stopAt` ends the window */
  count = 0;
  /** Whether more lines were found than are kept. */
  hasDropped = false;
  private found: FoundLine[] = [];
  private readonly splitters = { stdout: new LineSplitter(), stderr: new LineSplitter() };

  /**
   * @param needle in lower case
   * @param options.limit lines that are kept, the last ones
   * @param options.stopAt time of the line at which the window ends; the end of the log if absent
   */
  constructor(
    private readonly needle: string,
    private readonly options: { limit: number; since: string | undefined; until: string | undefined; stopAt: string | undefined },
  ) {}

  /** @param data of one stream, in the order of the log */
  push(stream: Frame["stream"], data: Buffer): void {
    this.scan(stream, this.splitters[stream].push(data));
  }

  /** Ends the window at the end of the log, whose last line may have no line break. */
  end(): void {
    for (const stream of ["stdout", "stderr"] as const) this.scan(stream, this.splitters[stream].end());
  }

  /** The lines that were found, the newest first. @param isWhole whether the first line is known to be whole */
  linesFound(isWhole: boolean): FoundLine[] {
    const lines = isWhole ? this.found : this.found.filter(({ time }) => time !== this.firstTime);
    if (lines.length > this.options.limit) this.hasDropped = true;
    return lines.slice(-this.options.limit).reverse();
  }

  /** @param text whole lines */
  private scan(stream: Frame["stream"], text: string): void {
    if (text === "" || this.isStopped) return;
    if (this.canSkip(text)) return;
    for (let start = 0; start < text.length && !this.isStopped; ) {
      const end = text.indexOf("\n", start);
      this.scanLine(stream, text.slice(start, end));
      start = end + 1;
    }
  }

  /** Whether nothing of a text matters, so that its lines need not be looked at one by one. */
  private canSkip(text: string): boolean {
    const { stopAt, until } = this.options;
    const isCounted = stopAt === undefined && until === undefined;
    if (isCounted || this.wholeFrom === undefined || (stopAt !== undefined && text.includes(stopAt))) return false;
    return !text.toLowerCase().includes(this.needle) && !hasLongLine(text);
  }

  private scanLine(stream: Frame["stream"], timedLine: string): void {
    const time = timedLine.slice(0, Math.max(0, timedLine.indexOf(" ")));
    const { stopAt, since, until, limit } = this.options;
    this.firstTime ??= time;
    if (time === stopAt) this.isStopped = true;
    if (this.isStopped) return;
    this.count += 1 + Math.floor(timedLine.length / (PIECE_BYTES / 2));
    if (time !== this.firstTime) this.wholeFrom ??= time;
    if ((since !== undefined && time < since) || (until !== undefined && time > until)) return;
    const rest = timedLine.slice(time.length + 1);
    const line = (rest.length < PIECE_BYTES ? rest : rest.replaceAll(`${time} `, "")).replace(/\r$/, "");
    const place = line.toLowerCase().indexOf(this.needle);
    if (place === -1) return;
    this.found.push({ time, stream, line: excerptOf(line, place) });
    if (this.found.length <= 2 * limit) return;
    this.found = this.found.slice(-limit);
    this.hasDropped = true;
  }
}

function hasLongLine(text: string): boolean {
  let start = 0;
  while (text.length - start > PIECE_BYTES) {
    const end = text.lastIndexOf("\n", start + PIECE_BYTES - 1);
    if (end < start) return true;
    start = end + 1;
  }
  return false;
}

/** The line, or the part of a long one that holds the place. A copy: a part of a string keeps the whole string in memory. */
function excerptOf(line: string, place: number): string {
  const start = line.length <= MAX_FOUND_LENGTH ? 0 : Math.max(0, Math.min(place - MAX_FOUND_LENGTH / 2, line.length - MAX_FOUND_LENGTH));
  return Buffer.from(line.slice(start, start + MAX_FOUND_LENGTH)).toString();
}

/** Splits the bytes of one stream into texts of whole lines. */
class LineSplitter {
  private readonly decoder = new StringDecoder("utf8");
  private rest = "";

  push(data: Buffer): string {
    const text = this.rest + this.decoder.write(data);
    const end = text.lastIndexOf("\n") + 1;
    this.rest = text.slice(end);
    return this.rest.length < MAX_LINE_LENGTH ? text.slice(0, end) : text.slice(0, end) + this.cutLine();
  }

  /** The beginning of a line that is too long; what follows is a line of the same time. */
  private cutLine(): string {
    const beginning = this.rest;
    this.rest = beginning.slice(0, beginning.indexOf(" ") + 1);
    return `${beginning}\n`;
  }

  end(): string {
    const text = this.rest + this.decoder.end();
    return text === "" ? "" : `${text}\n`;
  }
}
