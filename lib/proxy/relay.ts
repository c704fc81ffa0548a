import type { IncomingMessage, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import type { Connection, Connections, Listener, Target } from "./connections";
import type { Framing } from "./http1/framing";
import type { AnswerHead, RawHeaders } from "./http1/message-head";
import { passedTrailers, RequestBody } from "./http1/request-body";
import { AnswerReader, type AnswerSink } from "./http1/response-reader";
import { resetConnection } from "./reset-connection";

/** A client that takes nothing in for so long (ms) while there is something to take is cut off. */
const STALL = 60_000;

/** Watches the other end while nothing comes from it; returns what ends that. */
export type Guard = (begun: boolean, dead: (error: Error) => void) => () => void;

/** One request on its way. */
export interface ProxyRequest {
  request: IncomingMessage;
  response: ServerResponse;
  target: Target;
  /** Never on a connection that lay idle. */
  fresh: boolean;
  /** What is sent first, with its empty line, as latin1. */
  head: string;
  /** ms until the answer begins, counted from the last of the request */
  timeout: number;
  /** What the client gets of an answer's headers. */
  headersFor(head: AnswerHead): RawHeaders;
  /** Told of a 101, if the request offers an upgrade. */
  upgraded: ((head: AnswerHead, socket: Socket) => void) | undefined;
  guard: Guard | undefined;
}

/** Why there is no answer, or not all of it. */
export class RelayFailure extends Error {
  constructor(
    readonly reason: "unreachable" | "timeout" | "broken",
    cause: Error,
    /** The other end has not had the request, or closed an idle connection just before it came. */
    readonly untouched: boolean,
  ) {
    super(cause.message, { cause });
  }
}

/** Takes one request to where it is answered and the answer back, each as fast as the slower end takes it in. */
export class Relay implements Listener, AnswerSink {
  private readonly connection: Connection;
  private readonly reader: AnswerReader;
  private readonly upload: RequestBody;
  private isConnected: boolean;
  private timer: NodeJS.Timeout | undefined;
  private unguard: (() => void) | undefined;
  private framing: Framing | undefined;
  private unflushed = false;
  private over = false;

  /** Resolves when all is over, be it that the client has gone; rejects with a RelayFailure. */
  static run(errand: ProxyRequest, connections: Connections): Promise<void> {
    return new Promise((resolve, reject) => new Relay(errand, connections, (failure) => (failure ? reject(failure) : resolve())));
  }

  private constructor(
    private readonly errand: ProxyRequest,
    private readonly connections: Connections,
    private readonly settle: (failure?: RelayFailure) => void,
  ) {
    const { request, response, target } = errand;
    this.connection = connections.take(target, errand.fresh);
    this.isConnected = this.connection.used;
    this.connection.listener = this;
    this.reader = new AnswerReader(request.method as string, errand.upgraded !== undefined, this);
    this.upload = new RequestBody(request, this.connection.socket, () => this.timer?.refresh());
    this.timer = setTimeout(() => this.fail("timeout", new Error("no answer in time")), errand.timeout);
    this.unguard = errand.guard?.(false, (error) => this.fail("broken", error));
    response.once("close", this.leave).on("drain", this.flow);
    // One that waits behind another on its connection is told nothing of its end.
    if (response.socket === null) request.socket.once("close", this.leave);
    this.connection.socket.write(errand.head, "latin1");
    if (this.isConnected) this.upload.begin();
    if (response.destroyed || request.socket.destroyed) this.leave();
  }

  connected(): void {
    this.isConnected = true;
    this.upload.begin();
  }

  data(bytes: Buffer): void {
    this.read(() => this.reader.take(bytes));
    if (!this.unflushed || this.over) return;
    this.unflushed = false;
    this.errand.response.flushHeaders();
  }

  drain(): void {
    this.upload.resume();
  }

  ended(): void {
    this.read(() => this.reader.finish());
  }

  failed(error: Error): void {
    this.fail(this.isConnected ? "broken" : "unreachable", error);
  }

  private read(take: () => void): void {
    try {
      take();
    } catch (error) {
      this.fail("broken", error as Error);
    }
  }

  interim(head: AnswerHead): void {
    this.timer?.refresh();
    const { request, response } = this.errand;
    const { socket } = response;
    // A client that is behind has enough to read: nothing is kept for it, whose number the container decides.
    if (socket?.writableNeedDrain) return;
    if (head.status === 100) {
      if (request.headers.expect !== undefined) response.writeContinue();
    } else if (request.httpVersionMinor > 0 && socket) {
      socket.write(headText(`HTTP/1.1 ${head.status} ${head.reason}`, this.errand.headersFor(head)), "latin1");
    }
  }

  head(head: AnswerHead, framing: Framing): void {
    const { request, response, guard } = this.errand;
    this.quiet();
    this.unguard = guard?.(true, (error) => this.fail("broken", error));
    this.framing = framing;
    this.unflushed = true;
    const headers = this.errand.headersFor(head);
    const trailed = framing.kind === "chunked" && request.httpVersionMinor > 0;
    for (let at = 0; at < headers.length; at += 2) {
      // Only chunks can have trailers: Node sends no other answer that announces some.
      if (trailed || (headers[at] as string).toLowerCase() !== "trailer") {
        response.appendHeader(headers[at] as string, headers[at + 1] as string);
      }
    }
    if (framing.kind === "close") {
      // Its end is as uncertain to the client as it is here.
      response.removeHeader("Transfer-Encoding");
      response.setHeader("Connection", "close");
    }
    response.writeHead(head.status, head.reason);
  }

  body(bytes: Buffer): void {
    this.unflushed = false;
    const { response } = this.errand;
    if (this.over || response.write(bytes)) return;
    this.connection.socket.pause();
    this.timer ??= setTimeout(() => response.destroy(), STALL);
  }

  private readonly flow = (): void => {
    clearTimeout(this.timer);
    this.timer = undefined;
    this.connection.socket.resume();
  };

  end(trailers: RawHeaders, reusable: boolean): void {
    if (this.over) return;
    const { response } = this.errand;
    const reuse = reusable && this.upload.sent;
    this.close();
    if (reuse) this.connections.give(this.connection);
    else this.connection.destroy();
    response.addTrailers(inPairs(passedTrailers(trailers)));
    response.end();
    this.settle();
  }

  upgraded(head: AnswerHead, rest: Buffer): void {
    this.close();
    this.errand.upgraded?.(head, this.connection.detach(rest));
    this.settle();
  }

  private readonly leave = (): void => {
    if (this.over) return;
    this.close();
    this.connection.destroy();
    this.settle();
  };

  private fail(reason: RelayFailure["reason"], error: Error): void {
    if (this.over) return;
    const { request, response } = this.errand;
    const repeatable = this.connection.used && !this.reader.begun && reason === "broken" && SAFE.has(request.method as string);
    const untouched = !this.upload.touched && (reason === "unreachable" || (repeatable && this.upload.sent));
    this.close();
    this.connection.destroy();
    // An end that looks like the body's own would pass for one.
    if (this.framing?.kind === "close" && response.socket) resetConnection(response.socket);
    this.settle(new RelayFailure(reason, error, untouched));
  }

  private quiet(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
    this.unguard?.();
    this.unguard = undefined;
  }

  private close(): void {
    this.over = true;
    this.quiet();
    this.upload.stop();
    const { request, response } = this.errand;
    response.off("close", this.leave).off("drain", this.flow);
    request.socket.off("close", this.leave);
  }
}

/** Methods that may be asked twice (RFC 9110, section 9.2.2), of which those that change nothing are. */
const SAFE = new Set(["GET", "HEAD", "OPTIONS"]);

function inPairs(headers: RawHeaders): [string, string][] {
  return headers.flatMap((name, at) => (at % 2 === 0 ? [[name, headers[at + 1] as string] as [string, string]] : []));
}

/** A head as it is sent, with its empty line. */
export function headText(firstLine: string, headers: RawHeaders): string {
  let text = `${firstLine}\r\n`;
  for (let at = 0; at < headers.length; at += 2) text += `${headers[at]}: ${headers[at + 1]}\r\n`;
  return `${text}\r\n`;
}
