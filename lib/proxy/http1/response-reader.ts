import { Chunks } from "./chunked-decoder";
import { type Framing, framingOf } from "./framing";
import { type AnswerHead, HttpParseError, type RawHeaders, readHead, valuesOf } from "./message-head";

/** Most bytes of an answer's head. */
const LARGEST_HEAD = 65_536;

/** What an answer is made of, in this order. */
export interface AnswerSink {
  /** A 1xx before the answer itself. */
  interim(head: AnswerHead): void;
  head(head: AnswerHead, framing: Framing): void;
  body(bytes: Buffer): void;
  /** @param reusable whether its connection can take another request */
  end(trailers: RawHeaders, reusable: boolean): void;
  /** A 101: the rest of the connection is something else. */
  upgraded(head: AnswerHead, rest: Buffer): void;
}

/** Reads one answer off a connection, however it is cut. */
export class AnswerReader {
  private unread: Buffer | undefined;
  private framing: Framing | undefined;
  private left = 0;
  private chunks: Chunks | undefined;
  private lasting = true;
  over = false;
  /** Whether anything of it has come. */
  begun = false;

  /**
   * @param method of the request
   * @param upgrade whether the request has offered one
   */
  constructor(
    private readonly method: string,
    private readonly upgrade: boolean,
    private readonly sink: AnswerSink,
  ) {}

  /** @throws Unreadable */
  take(bytes: Buffer): void {
    this.begun = true;
    let rest: Buffer | undefined = bytes;
    while (rest && !this.over && !this.framing) rest = this.takeHead(rest);
    if (rest && rest.length > 0 && !this.over) this.takeBody(rest);
    else if (rest && rest.length > 0) throw new HttpParseError("more than an answer");
  }

  /** The connection has ended. @throws Unreadable if the answer has not */
  finish(): void {
    if (this.over) return;
    if (this.framing?.kind !== "close")
      throw new HttpParseError(this.begun ? "it ended in the middle of an answer" : "it ended without an answer");
    this.end([], false);
  }

  /** @returns what comes after the head; undefined if there is no whole head yet */
  private takeHead(bytes: Buffer): Buffer | undefined {
    const all = this.unread ? Buffer.concat([this.unread, bytes]) : bytes;
    const end = endOfHead(all);
    if ((end?.at ?? all.length) > LARGEST_HEAD) throw new HttpParseError("too large a head");
    if (!end) {
      this.unread = all;
      return undefined;
    }
    this.unread = undefined;
    const head = readHead(all.toString("latin1", 0, end.at));
    const rest = all.subarray(end.at + end.length);
    if (head.status === 101) {
      if (!this.upgrade) throw new HttpParseError("a 101 that nobody has asked for");
      this.over = true;
      this.sink.upgraded(head, rest);
      return undefined;
    }
    const framing = framingOf(head, this.method);
    if (head.status < 200) {
      this.sink.interim(head);
      return rest;
    }
    this.lasting = lasts(head);
    this.framing = framing;
    this.sink.head(head, framing);
    if (framing.kind === "chunked") this.chunks = new Chunks((chunk) => this.sink.body(chunk));
    if (framing.kind === "length") this.left = framing.bytes;
    if (framing.kind === "none" || (framing.kind === "length" && framing.bytes === 0)) this.end([], this.lasting && rest.length === 0);
    return rest.length > 0 && this.over ? undefined : rest;
  }

  private takeBody(bytes: Buffer): void {
    const { chunks } = this;
    if (chunks) {
      const taken = chunks.take(bytes);
      if (chunks.over) this.end(chunks.trailers, this.lasting && taken === bytes.length);
    } else if (this.framing?.kind === "length") {
      const mine = bytes.length > this.left ? bytes.subarray(0, this.left) : bytes;
      this.left -= mine.length;
      this.sink.body(mine);
      if (this.left === 0) this.end([], this.lasting && mine.length === bytes.length);
    } else this.sink.body(bytes);
  }

  private end(trailers: RawHeaders, reusable: boolean): void {
    this.over = true;
    this.sink.end(trailers, reusable);
  }
}

function lasts({ headers, minor }: AnswerHead & { minor: number }): boolean {
  const options = valuesOf(headers, "connection").join(",").toLowerCase();
  return minor === 1 ? !/\bclose\b/.test(options) : false;
}

/** RFC 9112, section 2.2: a bare LF may end a line. */
function endOfHead(bytes: Buffer): { at: number; length: number } | undefined {
  const at = bytes.indexOf("\r\n\r\n");
  const before = at < 0 ? bytes : bytes.subarray(0, at);
  for (const end of ["\n\n", "\n\r\n"]) {
    const bare = before.indexOf(end);
    if (bare >= 0) return { at: bare, length: end.length };
  }
  return at < 0 ? undefined : { at, length: 4 };
}
