import type { WebSocket } from "ws";
import { asAppError } from "../errors";
import { errorBody } from "../http/error-handler";
import type { Logger } from "../support/logger";
import { type ClientMessage, readMessage, type ServerMessage } from "./protocol";

/** Between pings (ms), so that load balancers see that a silent terminal lives. */
const PING_INTERVAL = 30_000;
const PROBE_INTERVAL = 1000;
/** For the answer to a close (ms) of a client that asked for it: it may read no more, as documented examples do. */
const LAST_WORD = 1000;

/** WebSocket close codes (RFC 6455, section 7.4.1). */
export const DONE = 1000;
export const GOING_AWAY = 1001;
export const FAILED = 1011;

/** The client of a terminal: messages instead of frames, and pings. */
export class Client {
  private readonly leaving = new AbortController();
  /** It showed since the last ping that it lives: by anything it sent, or by taking in what it was sent. */
  private alive = true;
  private probing: NodeJS.Timeout | undefined;
  /** Those for whose sake nothing more is taken in. */
  private pauses = 0;
  /** Messages are taken one after the other, as they came. */
  private taking: Promise<void> = Promise.resolve();

  /**
   * @param requestId told with every error
   * @param pingInterval ms; a client that shows no life from one ping to the next is dropped
   */
  constructor(
    private readonly socket: WebSocket,
    private readonly requestId: string,
    private readonly log: Logger,
    pingInterval = PING_INTERVAL,
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
      clearInterval(this.probing);
      this.leaving.abort();
    });
  }

  /** Aborted when it has gone. */
  get gone(): AbortSignal {
    return this.leaving.signal;
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
      this.taking = this.taking.then(async () => {
        try {
          await take(readMessage(data as Buffer, isBinary));
        } catch (error) {
          await this.fail(error);
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
  fail(thrown: unknown): Promise<void> {
    const error = asAppError(thrown);
    if (error.status >= 500) this.log.error(error.message, { request_id: this.requestId, code: error.code, cause: String(error.cause) });
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
    this.probing ??= setInterval(() => this.ping(), PROBE_INTERVAL);
    return () => {
      this.pauses -= 1;
      if (this.pauses === 0) this.resume();
    };
  }

  private resume(): void {
    clearInterval(this.probing);
    this.probing = undefined;
    this.alive = true;
    this.socket.resume();
  }

  close(code: number): void {
    // The client's own close must be read.
    this.resume();
    this.socket.close(code);
  }

  /** Closes as the client asked; one that doesn't answer has gone all the same. */
  leave(): void {
    this.close(DONE);
    setTimeout(() => this.socket.terminate(), LAST_WORD).unref();
  }
}
