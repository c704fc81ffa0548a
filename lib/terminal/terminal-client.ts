import type { WebSocket } from "ws";
import { asAppError, errorBody } from "../errors";
import type { Logger } from "../support/logger";
import { type ClientMessage, readMessage, type ServerMessage } from "./protocol";

/** Between pings (ms), so that load balancers see that a silent terminal lives. */
const PING_INTERVAL_MS = 30_000;
const PROBE_INTERVAL_MS = 1000;
/** For the answer to a close (ms) of a client that asked for it: it may read no more, as documented examples do. */
const CLOSE_TIMEOUT_MS = 1000;

/** WebSocket close codes (RFC 6455, section 7.4.1). */
export const CLOSE_NORMAL = 1000;
export const CLOSE_GOING_AWAY = 1001;
export const CLOSE_INTERNAL_ERROR = 1011;

/** The client of a terminal: messages instead of frames, and pings. */
export class TerminalClient {
  private readonly closed = new AbortController();
  /** It showed since the last ping that it lives: by anything it sent, or by taking in what it was sent. */
  private alive = true;
  private probeTimer: NodeJS.Timeout | undefined;
  /** Those for whose sake nothing more is taken in. */
  private pauses = 0;
  /** Messages are taken one after the other, as they came. */
  private queue: Promise<void> = Promise.resolve();

  /**
   * @param requestId told with every error
   * @param pingInterval ms; a client that shows no life from one ping to the next is dropped
   */
  constructor(
    private readonly socket: WebSocket,
    private readonly requestId: string,
    private readonly log: Logger,
    pingInterval = PING_INTERVAL_MS,
  ) {
    const lives = () => {
      this.alive = true;
    };
    const timer = setInterval(() => this.ping(), pingInterval);
    // What is wrong with a frame is told by the close that follows.
    socket
      .on("pong", lives)
      .on("ping", lives)
      .on("message", lives)
      .on("error", () => undefined);
    socket.once("close", () => {
      clearInterval(timer);
      clearInterval(this.probeTimer);
      this.closed.abort();
    });
  }

  /** Aborted when it has gone. */
  get closedSignal(): AbortSignal {
    return this.closed.signal;
  }

  private ping(): void {
    // One that is not read from can't answer.
    if (!this.alive && !this.socket.isPaused) this.socket.terminate();
    else this.socket.ping(undefined, undefined, () => undefined);
    this.alive = false;
  }

  /** @param take gets what comes, one by one; what it throws is answered, as is what can't be read */
  onMessage(take: (message: ClientMessage) => Promise<void> | void): void {
    this.socket.on("message", (data, isBinary) => {
      const resume = this.pause();
      this.queue = this.queue.then(async () => {
        try {
          await take(readMessage(data as Buffer, isBinary));
        } catch (error) {
          await this.sendError(error);
        } finally {
          resume();
        }
      });
    });
  }

  /** Resolves when it is written out, or the client has gone: until then nothing more should be sent. */
  send(message: ServerMessage): Promise<void> {
    return new Promise((resolve) => {
      if (this.socket.readyState !== this.socket.OPEN) return resolve();
      this.socket.send(JSON.stringify(message), (error) => {
        if (!error) this.alive = true;
        resolve();
      });
    });
  }

  /** Tells what went wrong. */
  sendError(thrown: unknown): Promise<void> {
    const error = asAppError(thrown);
    if (error.status >= 500)
      this.log.error(error.message, { request_id: this.requestId, code: error.clientCode, cause: String(error.cause) });
    return this.send({ type: "error", error: errorBody(error, this.requestId) });
  }

  /**
   * Takes in nothing more.
   * @returns ends that, once all who have asked for it did so
   */
  pause(): () => void {
    this.pauses += 1;
    this.socket.pause();
    // Of one that is not read from only what is written to it tells that it has gone.
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

  close(code: number): void {
    // The client's own close must be read.
    this.resume();
    this.socket.close(code);
  }

  /** Closes as the client asked; one that doesn't answer has gone all the same. */
  closeOnRequest(): void {
    this.close(CLOSE_NORMAL);
    setTimeout(() => this.socket.terminate(), CLOSE_TIMEOUT_MS).unref();
  }
}
