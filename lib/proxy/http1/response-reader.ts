import { ChunkedDecoder } from "./chunked-decoder";
import { HttpParseError, headerValues, parseResponseHead, type RawHeaders, type ResponseHead } from "./message-head";

const MAX_HEAD_BYTES = 65_536;
/** 1xx responses before the final one. Without a limit a container could keep this process busy with them. */
const MAX_INTERIM_RESPONSES = 100;

/** Of a connection that ended, or was reset, before any byte of a response. */
export const NO_ANSWER = "the connection ended without an answer, as when nothing listens at the port";

/** How the end of a response's body is known: no body, a length, chunks, or the end of the connection. */
export type BodyFraming = { kind: "none" } | { kind: "length"; bytes: number } | { kind: "chunked" } | { kind: "close" };

/** Receives the parts of a response, in this order. */
export interface ResponseSink {
  /** A 1xx response before the final one. */
  onInterim(head: ResponseHead): void;
  onHead(head: ResponseHead, framing: BodyFraming): void;
  onBody(bytes: Buffer): void;
  /** @param reusable whether the connection can carry another request */
  onComplete(trailers: RawHeaders, reusable: boolean): void;
  /**
   * A 101: the connection now belongs to the new protocol.
   * @param rest bytes after the head
   */
  onUpgrade(head: ResponseHead, rest: Buffer): void;
}

/** Incremental parser of one response (RFC 9112). */
export class ResponseReader {
  private partialHead: Buffer | undefined;
  private framing: BodyFraming | undefined;
  private remainingBytes = 0;
  private chunkedDecoder: ChunkedDecoder | undefined;
  private keepsAlive = true;
  private interimResponses = 0;
  done = false;
  /** Any byte of the response has been received. */
  started = false;

  /**
   * @param method of the request
   * @param upgradeOffered whether the request offers an upgrade
   */
  constructor(
    private readonly method: string,
    private readonly upgradeOffered: boolean,
    private readonly sink: ResponseSink,
  ) {}

  /**
   * Parses the next bytes of the connection.
   * @throws HttpParseError
   */
  push(bytes: Buffer): void {
    this.started = true;
    let rest: Buffer | undefined = bytes;
    while (rest && !this.done && !this.framing) rest = this.pushHead(rest);
    if (rest && rest.length > 0 && !this.done) this.pushBody(rest);
    else if (rest && rest.length > 0) throw new HttpParseError("more than an answer");
  }

  /**
   * To be called at the end of the connection.
   * @throws HttpParseError if the response is incomplete
   */
  finish(): void {
    if (this.done) return;
    if (this.framing?.kind !== "close") throw new HttpParseError(this.started ? "it ended in the middle of an answer" : NO_ANSWER);
    this.complete([], false);
  }

  /** @returns the bytes after the head; undefined while the head is incomplete */
  private pushHead(bytes: Buffer): Buffer | undefined {
    const received = this.partialHead ? Buffer.concat([this.partialHead, bytes]) : bytes;
    const end = findEndOfHead(received);
    if ((end?.offset ?? received.length) > MAX_HEAD_BYTES) throw new HttpParseError("too large a head");
    if (!end) {
      this.partialHead = received;
      return undefined;
    }
    this.partialHead = undefined;
    const head = parseResponseHead(received.toString("latin1", 0, end.offset));
    const rest = received.subarray(end.offset + end.length);
    if (head.status === 101) {
      if (!this.upgradeOffered) throw new HttpParseError("a 101 that nobody has asked for");
      this.done = true;
      this.sink.onUpgrade(head, rest);
      return undefined;
    }
    const framing = responseBodyFraming(head, this.method);
    if (head.status < 200) {
      this.interimResponses += 1;
      if (this.interimResponses > MAX_INTERIM_RESPONSES) throw new HttpParseError("more than 100 answers with a 1xx status");
      this.sink.onInterim(head);
      return rest;
    }
    this.keepsAlive = keepsConnectionAlive(head);
    this.framing = framing;
    this.sink.onHead(head, framing);
    if (framing.kind === "chunked") this.chunkedDecoder = new ChunkedDecoder((data) => this.sink.onBody(data));
    if (framing.kind === "length") this.remainingBytes = framing.bytes;
    if (framing.kind === "none" || (framing.kind === "length" && framing.bytes === 0))
      this.complete([], this.keepsAlive && rest.length === 0);
    return rest.length > 0 && this.done ? undefined : rest;
  }

  private pushBody(bytes: Buffer): void {
    const { chunkedDecoder } = this;
    if (chunkedDecoder) {
      const consumed = chunkedDecoder.push(bytes);
      if (chunkedDecoder.done) this.complete(chunkedDecoder.trailers, this.keepsAlive && consumed === bytes.length);
    } else if (this.framing?.kind === "length") {
      const body = bytes.length > this.remainingBytes ? bytes.subarray(0, this.remainingBytes) : bytes;
      this.remainingBytes -= body.length;
      this.sink.onBody(body);
      if (this.remainingBytes === 0) this.complete([], this.keepsAlive && body.length === bytes.length);
    } else this.sink.onBody(bytes);
  }

  private complete(trailers: RawHeaders, reusable: boolean): void {
    this.done = true;
    this.sink.onComplete(trailers, reusable);
  }
}

/**
 * Determines how the body of a response is framed (RFC 9112, section 6.3). Refuses every head that two parsers might frame differently.
 * @param method of the request
 * @throws HttpParseError
 */
function responseBodyFraming({ status, headers, minor }: ResponseHead & { minor: number }, method: string): BodyFraming {
  const codings = headerValues(headers, "transfer-encoding");
  const lengths = headerValues(headers, "content-length").flatMap((value) => value.split(",").map((length) => length.trim()));
  if (codings.length > 0) {
    if (lengths.length > 0) throw new HttpParseError("both Transfer-Encoding and Content-Length");
    if (minor === 0) throw new HttpParseError("Transfer-Encoding in HTTP/1.0");
    if (codings.length > 1 || codings[0]?.toLowerCase() !== "chunked") throw new HttpParseError("a Transfer-Encoding other than chunked");
  }
  const [firstLength] = lengths;
  if (lengths.some((length) => length !== firstLength || !/^\d{1,15}$/.test(length))) throw new HttpParseError("no valid Content-Length");
  if (method === "HEAD" || status < 200 || status === 204 || status === 304) return { kind: "none" };
  if (codings.length > 0) return { kind: "chunked" };
  if (firstLength !== undefined) return { kind: "length", bytes: Number(firstLength) };
  return { kind: "close" };
}

/** Whether the sender of a response keeps its connection open; one of HTTP/1.0 counts as closing. */
function keepsConnectionAlive({ headers, minor }: ResponseHead & { minor: number }): boolean {
  const options = headerValues(headers, "connection").join(",").toLowerCase();
  return minor === 1 ? !/\bclose\b/.test(options) : false;
}

/** RFC 9112, section 2.2: a bare LF may end a line. */
function findEndOfHead(bytes: Buffer): { offset: number; length: number } | undefined {
  const offset = bytes.indexOf("\r\n\r\n");
  const before = offset < 0 ? bytes : bytes.subarray(0, offset);
  for (const end of ["\n\n", "\n\r\n"]) {
    const bareOffset = before.indexOf(end);
    if (bareOffset >= 0) return { offset: bareOffset, length: end.length };
  }
  return offset < 0 ? undefined : { offset, length: 4 };
}
