import type { WebSocket } from "ws";
import { asAppError, errorBody } from "../errors";
import type { Logger } from "../support/logger";
import { type ClientMessage, readMessage, type ServerMessage } from "./protocol";

/** Keeps idle terminals open through load balancers, and detects dead clients. */
const PING_INTERVAL_MS = 30_000;
/** Ping interval while the socket is paused: only a failing write then reveals a lost connection. */
const PROBE_INTERVAL_MS = 1000;
/** Wait for the close frame of a client that sent `close`: the documented examples never read again after it. */
const CLOSE_TIMEOUT_MS = 1000;

/** WebSocket close codes (RFC 6455, section 7.4.1). */
export const CLOSE_NORMAL = 1000;
export const CLOSE_GOING_AWAY = 1001;
export const CLOSE_INTERNAL_ERROR = 1011;

/** The WebSocket of a terminal's client: reads and writes messages, pings, and applies backpressure. */
export class ClientSocket {
  private readonly closed = new AbortController();
  /** Whether the client has sent or received anything since the last ping. */
  private alive = true;
  private probeTimer: NodeJS.Timeout | undefined;
  /** Number of unreleased `pause()` calls; the socket is read only at 0. */
  private pauses = 0;
  /** Tail of the chain that handles messages one at a time, in order. */
  private queue: Promise<void> = Promise.resolve();

  /**
   * @param requestId included in every error message
   * @param pingIntervalMs a client silent from one ping to the next is disconnected
   */
  constructor(
    private readonly socket: WebSocket,
    private readonly requestId: string,
    private readonly log: Logger,
    pingIntervalMs = PING_INTERVAL_MS,
  ) {
    const markAlive = () => {
      this.alive = true;
    };
    const timer = setInterval(() => this.ping(), pingIntervalMs);
    // A protocol error is followed by `close`, which is handled.
    socket
      .on("pong", markAlive)
      .on("ping", markAlive)
      .on("message", markAlive)
      .on("error", () => undefined);
    socket.once("close", () => {
      clearInterval(timer);
      clearInterval(this.probeTimer);
      this.closed.abort();
    });
  }

  /** Aborted when the connection is closed or lost. */
  get closedSignal(): AbortSignal {
    return this.closed.signal;
  }

  private ping(): void {
    // While the socket is paused, pongs are not read: their absence means nothing.
    if (!this.alive && !this.socket.isPaused) this.socket.terminate();
    else this.socket.ping(undefined, undefined, () => undefined);
    this.alive = false;
  }

  /**
   * Handles messages one at a time, in order. Unreadable messages and errors that the handler throws are sent to the client.
   * @param handle gets each message
   */
  onMessage(handle: (message: ClientMessage) => Promise<void> | void): void {
    this.socket.on("message", (data, isBinary) => {
      const resume = this.pause();
      this.queue = this.queue.then(async () => {
        try {
          await handle(readMessage(data as Buffer, isBinary));
        } catch (error) {
          await this.sendError(error);
        } finally {
          resume();
        }
      });
    });
  }

  /** Sends a message; resolves when it is written or the connection is closed. Await it before the next one, for backpressure. */
  send(message: ServerMessage): Promise<void> {
    return new Promise((resolve) => {
      if (this.socket.readyState !== this.socket.OPEN) return resolve();
      this.socket.send(JSON.stringify(message), (error) => {
        if (!error) this.alive = true;
        resolve();
      });
    });
  }

  /** Sends an error message; server errors are logged too. */
  sendError(thrown: unknown): Promise<void> {
    const error = asAppError(thrown);
    if (error.status >= 500)
      this.log.error("Terminal failed", {
        reason: error.message,
        request_id: this.requestId,
        code: error.clientCode,
        cause: String(error.cause),
      });
    return this.send({ type: "error", error: errorBody(error, this.requestId) });
  }

  /**
   * Stops reading from the client.
   * @returns releases this pause; reading resumes when no pause is left
   */
  pause(): () => void {
    this.pauses += 1;
    this.socket.pause();
    this.probeTimer ??= setInterval(() => this.ping(), PROBE_INTERVAL_MS);
    return () => {
      this.pauses -= 1;
      if (this.pauses === 0) this.resume();
    };
  }

  private resume(): void {
    clearInterval(this.probeTimer);
    this.probeTimer = undefined;
    this.alive = true;
    this.socket.resume();
  }

  /** @param code one of the close codes above */
  close(code: number): void {
    // The client's close frame must be read.
    this.resume();
    this.socket.close(code);
  }

  /** Closes after the client's `close` message; terminates the connection if no close frame arrives in time. */
  closeOnRequest(): void {
    this.close(CLOSE_NORMAL);
    setTimeout(() => this.socket.terminate(), CLOSE_TIMEOUT_MS).unref();
  }
}
