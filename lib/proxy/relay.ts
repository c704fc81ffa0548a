import type { IncomingMessage, ServerResponse } from "node:http";
import net, { type Socket } from "node:net";
import type { Duplex } from "node:stream";
import tls from "node:tls";
import type { ConnectionListener, ConnectionPool, UpstreamConnection, UpstreamEndpoint } from "./connection-pool";
import { formatHead, type RawHeaders, type ResponseHead } from "./http1/message-head";
import { RequestBodySender } from "./http1/request-body";
import { type BodyFraming, ResponseReader, type ResponseSink } from "./http1/response-reader";
import { SmallPieces } from "./small-pieces";
import { forwardableTrailers } from "./trailers";

/** A client that reads nothing for this time, while there is something to read, is disconnected. */
const CLIENT_STALL_TIMEOUT_MS = 60_000;
/** After bytes that took longer to handle, other requests get their turn: a socket that always has more would be read up to 32 times in a row. */
const MAX_TURN_MS = 2;

/**
 * Watches whether the upstream node is alive while nothing arrives from it.
 * @param responseStarted whether the response head has arrived
 * @param onDead called when the node counts as dead
 * @returns stops watching
 */
export type WatchUpstream = (responseStarted: boolean, onDead: (error: Error) => void) => () => void;

/** One client request and how it is sent upstream. */
export interface ProxyRequest {
  request: IncomingMessage;
  response: ServerResponse;
  endpoint: UpstreamEndpoint;
  /** Don't reuse an idle connection. */
  forceNewConnection: boolean;
  /** Request line and headers with the final empty line, written as latin1; as bytes also with the body. */
  head: string | Buffer;
  /** Whether `head` holds the whole body: none is read from the client. */
  headHasBody?: boolean;
  /** Limit from the last byte of the request to the first of the response. */
  responseTimeoutMs: number;
  /** The headers for the client, made from those of the upstream response. */
  toClientHeaders(head: ResponseHead): RawHeaders;
  /** Takes the upstream socket after a 101; undefined if the request offers no upgrade. */
  onUpgrade: ((head: ResponseHead, socket: Socket) => void) | undefined;
  watchUpstream: WatchUpstream | undefined;
  /** Whether a client may read nothing for any time: it is not disconnected then. */
  mayStall?: boolean;
}

/** Why there is no response, or only a part of one. */
export class RelayFailure extends Error {
  constructor(
    readonly reason: "unreachable" | "timeout" | "broken",
    cause: Error,
    /** The upstream did not process the request: it never received it, or closed a reused connection just before. */
    readonly safeToRetry: boolean,
  ) {
    super(cause.message, { cause });
  }
}

/** Relays one request upstream and its response back, each as fast as the slower end accepts it. */
export class Relay implements ConnectionListener, ResponseSink {
  private readonly connection: UpstreamConnection;
  private readonly responseReader: ResponseReader;
  private readonly requestBody: RequestBodySender;
  private connected: boolean;
  /** Runs until the response head: 1xx responses don't extend it. */
  private readonly responseTimer: NodeJS.Timeout;
  /** Runs while the client takes nothing of the body. */
  private stallTimer: NodeJS.Timeout | undefined;
  private yieldsTurn = false;
  private readonly pieces = new SmallPieces((bytes) => this.send(bytes));
  private stopWatching: (() => void) | undefined;
  private framing: BodyFraming | undefined;
  private headUnflushed = false;
  private finished = false;

  /** Resolves at the end of the response, or when the client disconnects; rejects with a RelayFailure. */
  static run(proxyRequest: ProxyRequest, pool: ConnectionPool): Promise<void> {
    return new Promise((resolve, reject) => new Relay(proxyRequest, pool, (failure) => (failure ? reject(failure) : resolve())));
  }

  private constructor(
    private readonly proxyRequest: ProxyRequest,
    private readonly pool: ConnectionPool,
    private readonly settle: (failure?: RelayFailure) => void,
  ) {
    const { request, response, endpoint } = proxyRequest;
    this.connection = pool.acquire(endpoint, proxyRequest.forceNewConnection);
    this.connected = this.connection.reused;
    this.connection.listener = this;
    this.responseReader = new ResponseReader(request.method as string, proxyRequest.onUpgrade !== undefined, this);
    const hasBody = !proxyRequest.headHasBody;
    const onProgress = () => this.refreshResponseTimer();
    this.requestBody = new RequestBodySender(request, this.connection.socket, forwardableTrailers, onProgress, hasBody);
    this.responseTimer = setTimeout(() => this.fail("timeout", new Error("no answer in time")), proxyRequest.responseTimeoutMs);
    this.stopWatching = proxyRequest.watchUpstream?.(false, (error) => this.fail("broken", error));
    response.once("close", this.handleClientClose).on("drain", this.resumeUpstream);
    // A response that is queued behind another on its connection emits no "close" when the connection closes.
    if (response.socket === null) request.socket.once("close", this.handleClientClose);
    this.connection.socket.write(proxyRequest.head, "latin1");
    if (this.connected) this.requestBody.start();
    if (response.destroyed || request.socket.destroyed) this.handleClientClose();
  }

  onConnect(): void {
    this.connected = true;
    this.requestBody.start();
  }

  onData(bytes: Buffer): void {
    const startedAt = performance.now();
    this.parse(() => this.responseReader.push(bytes));
    if (this.finished) return;
    if (this.headUnflushed) {
      this.headUnflushed = false;
      this.proxyRequest.response.flushHeaders();
    }
    if (performance.now() - startedAt > MAX_TURN_MS) this.yieldTurn();
  }

  private yieldTurn(): void {
    this.yieldsTurn = true;
    this.connection.socket.pause();
    setImmediate(() => {
      this.yieldsTurn = false;
      this.resumeUpstream();
    });
  }

  onDrain(): void {
    this.requestBody.resume();
  }

  onEnd(): void {
    this.parse(() => this.responseReader.finish());
  }

  onError(error: Error): void {
    this.fail(this.connected ? "broken" : "unreachable", error);
  }

  private parse(step: () => void): void {
    try {
      step();
    } catch (error) {
      this.fail("broken", error as Error);
    }
  }

  onInterim(head: ResponseHead): void {
    if (this.finished) return;
    const { request, response } = this.proxyRequest;
    const { socket } = response;
    if (head.status === 100) {
      if (request.headers.expect !== undefined) response.writeContinue();
    } else if (request.httpVersionMinor > 0 && socket) {
      socket.write(formatHead(`HTTP/1.1 ${head.status} ${head.reason}`, this.proxyRequest.toClientHeaders(head)), "latin1");
    }
    if (!this.clientIsFull) return;
    this.connection.socket.pause();
    // Only a body's bytes make the response itself emit "drain".
    socket?.off("drain", this.resumeUpstream).once("drain", this.resumeUpstream);
  }

  /** Whether the client has not taken in yet what was written to it. */
  private get clientIsFull(): boolean {
    const { response } = this.proxyRequest;
    const { socket } = response;
    // From Node.js 24 on, the socket's flag is still set while the response emits "drain".
    return response.writableNeedDrain || (socket?.writableNeedDrain === true && socket.writableLength > 0);
  }

  onHead(head: ResponseHead, framing: BodyFraming): void {
    const { request, response, watchUpstream } = this.proxyRequest;
    this.clearResponseWait();
    this.stopWatching = watchUpstream?.(true, (error) => this.fail("broken", error));
    this.framing = framing;
    this.headUnflushed = true;
    const headers = this.proxyRequest.toClientHeaders(head);
    const canHaveTrailers = framing.kind === "chunked" && request.httpVersionMinor > 0;
    for (let index = 0; index < headers.length; index += 2) {
      // Node throws if a response that isn't chunked announces trailers.
      if (canHaveTrailers || (headers[index] as string).toLowerCase() !== "trailer") {
        response.appendHeader(headers[index] as string, headers[index + 1] as string);
      }
    }
    if (framing.kind === "close") {
      // Without a length upstream, the client too gets its end of the body by the end of the connection.
      response.removeHeader("Transfer-Encoding");
      response.setHeader("Connection", "close");
    }
    response.writeHead(head.status, head.reason);
  }

  onBody(bytes: Buffer): void {
    this.headUnflushed = false;
    if (!this.finished) this.pieces.push(bytes);
  }

  private send(bytes: Buffer): void {
    const { response } = this.proxyRequest;
    if (response.destroyed || response.write(bytes)) return;
    this.connection.socket.pause();
    if (!this.proxyRequest.mayStall) this.stallTimer ??= setTimeout(() => response.destroy(), CLIENT_STALL_TIMEOUT_MS);
  }

  private readonly resumeUpstream = (): void => {
    if (this.finished || this.yieldsTurn || this.clientIsFull) return;
    clearTimeout(this.stallTimer);
    this.stallTimer = undefined;
    this.connection.socket.resume();
  };

  onComplete(trailers: RawHeaders, reusable: boolean): void {
    if (this.finished) return;
    const { response } = this.proxyRequest;
    const reuse = reusable && this.requestBody.sent;
    this.pieces.flush();
    this.finish();
    if (reuse) this.pool.release(this.connection);
    else this.connection.destroy();
    response.addTrailers(toPairs(forwardableTrailers(trailers)));
    response.end();
    this.settle();
  }

  onUpgrade(head: ResponseHead, rest: Buffer): void {
    this.finish();
    this.proxyRequest.onUpgrade?.(head, this.connection.detachSocket(rest));
    this.settle();
  }

  private readonly handleClientClose = (): void => {
    if (this.finished) return;
    this.finish();
    this.connection.destroy();
    this.settle();
  };

  private fail(reason: RelayFailure["reason"], error: Error): void {
    if (this.finished) return;
    const { request, response } = this.proxyRequest;
    const closedBeforeResponse = this.connection.reused && !this.responseReader.started && reason === "broken";
    const repeatable = closedBeforeResponse && SAFE_METHODS.has(request.method as string);
    const safeToRetry = !this.requestBody.mayHaveSent && (reason === "unreachable" || (repeatable && this.requestBody.sent));
    this.pieces.flush();
    this.finish();
    this.connection.destroy();
    // The client takes a regular end of the connection for the end of this body: only a reset shows that it is incomplete.
    if (this.framing?.kind === "close" && response.socket) resetConnection(response.socket);
    this.settle(new RelayFailure(reason, error, safeToRetry));
  }

  private refreshResponseTimer(): void {
    if (!this.framing && !this.finished) this.responseTimer.refresh();
  }

  private clearResponseWait(): void {
    clearTimeout(this.responseTimer);
    this.stopWatching?.();
    this.stopWatching = undefined;
  }

  private finish(): void {
    this.finished = true;
    this.pieces.drop();
    this.clearResponseWait();
    clearTimeout(this.stallTimer);
    this.requestBody.stop();
    const { request, response } = this.proxyRequest;
    response.off("close", this.handleClientClose).off("drain", this.resumeUpstream);
    response.socket?.off("drain", this.resumeUpstream);
    request.socket.off("close", this.handleClientClose);
  }
}

/** The safe methods of RFC 9110, section 9.2.1: repeating one changes nothing. */
const SAFE_METHODS = new Set(["GET", "HEAD", "OPTIONS"]);

/** Closes a connection in such a way that the other end sees an error, not a regular end. */
export function resetConnection(socket: Duplex): void {
  // A TLS connection needs no reset: without its close_notify alert the end is an error already. A Unix socket, without an address, has none.
  const isTcp = socket instanceof net.Socket && !(socket instanceof tls.TLSSocket) && socket.remoteAddress !== undefined;
  if (isTcp && !socket.destroyed) socket.resetAndDestroy();
  else socket.destroy();
}

function toPairs(headers: RawHeaders): [string, string][] {
  return headers.flatMap((name, index) => (index % 2 === 0 ? [[name, headers[index + 1] as string] as [string, string]] : []));
}
